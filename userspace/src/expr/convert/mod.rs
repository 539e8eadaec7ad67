//! Converters: one item per keyword, one file per family (manual §7.3.1).
//!
//! A converter gets its input already cast to the type it declares and answers a new sample, or nothing. Borrowed input is
//! passed on borrowed wherever the bytes do not change.

use std::net::IpAddr;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::args::{Arg, Arguments};
use super::fetch::{Compile, Stick};
use super::pattern::{MapOutput, Match};
use super::suggest;
use super::{Data, Parsing, Sample, SampleType, View};

mod aes;
mod codec;
mod date;
mod digest;
mod fix;
mod hash;
mod json;
mod map;
mod math;
mod md5;
mod mqtt;
mod packet;
mod protobuf;
mod regsub;
mod rfc7239;
mod state;
mod string;
mod table;
mod token;
mod x509;

pub(super) use rfc7239::is_obfuscated;
pub use token::TokenKeys;

/// One converter keyword.
#[derive(Clone, Copy)]
pub(super) struct Converter {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) args: Arguments,
    pub(super) input: SampleType,
    pub(super) output: Output,
    /// One line for the reference.
    pub(super) doc: &'static str,
    pub(super) run: Run,
    pub(super) compile: Option<Compile>,
    /// For maps: how keys are matched, and what values are.
    pub(super) map: Option<(Match, MapOutput)>,
}

/// The type a converter yields.
#[derive(Clone, Copy)]
pub(super) enum Output {
    Type(SampleType),
    /// The input's.
    Same,
    /// Depends on the arguments.
    Of(fn(&[Arg]) -> SampleType),
}

pub(super) type RunSample = for<'a> fn(Sample<'a>, &'a [Arg], &'a dyn View) -> Option<Sample<'a>>;

/// How a converter works.
#[derive(Clone, Copy)]
pub(super) enum Run {
    Sample(RunSample),
    /// A string to a string.
    Text(for<'a> fn(Data<'a>) -> Data<'a>),
    /// An integer alone.
    Int(fn(i64) -> Sample<'static>),
    /// An integer and one that is given as a number or variable.
    Operand(fn(i64, i64) -> i64),
    /// Bytes to a number; the first argument asks for more mixing.
    Hash(fn(&[u8]) -> u32),
    /// A range of the input's bytes.
    Part(fn(&[u8]) -> Option<(usize, usize)>),
    /// A number read from bytes.
    Number(fn(&[u8]) -> Option<i64>),
    /// An address read from bytes.
    Address(fn(&[u8]) -> Option<IpAddr>),
    /// A lookup in a stick table.
    Table(Stick),
    /// A lookup in a map.
    Map,
}

impl Converter {
    /// What the items start from.
    const BASE: Self = Self {
        name: "",
        aliases: &[],
        args: Arguments::NONE,
        input: SampleType::Str,
        output: Output::Type(SampleType::Str),
        doc: "",
        run: Run::Sample(|_, _, _| None),
        compile: None,
        map: None,
    };

    /// The type that comes out when `input` goes in.
    pub(super) fn output(&self, input: SampleType, args: &[Arg]) -> SampleType {
        match self.output {
            Output::Type(kind) => kind,
            Output::Same => input,
            Output::Of(kind) => kind(args),
        }
    }

    /// Checks and rewrites the arguments once.
    pub(super) fn compile(
        &self,
        args: Vec<Arg>,
        parsing: &mut Parsing<'_>,
    ) -> Result<Vec<Arg>, String> {
        match (self.compile, self.map) {
            (Some(compile), _) => compile(args, parsing),
            (None, Some(kind)) => map::compile(kind, &args, parsing),
            (None, None) => Ok(args),
        }
    }

    pub(super) fn run<'a>(
        &self,
        sample: Sample<'a>,
        args: &'a [Arg],
        view: &'a dyn View,
    ) -> Option<Sample<'a>> {
        match &self.run {
            Run::Sample(run) => run(sample, args, view),
            Run::Text(run) => Some(Sample::Str(run(data(sample)?))),
            Run::Int(run) => Some(run(int(&sample)?)),
            Run::Operand(run) => Some(Sample::Int(run(int(&sample)?, number(args.first(), view)?))),
            Run::Hash(run) => hash::run(*run, &data(sample)?, args),
            Run::Part(range) => {
                let bytes = data(sample)?;
                let range = range(&bytes)?;
                packet::cut(bytes, range)
            }
            Run::Number(read) => read(&data(sample)?).map(Sample::Int),
            Run::Address(read) => read(&data(sample)?).map(Sample::Ip),
            Run::Table(stick) => stick.table(view, &sample, args),
            Run::Map => map::lookup(&sample, args),
        }
    }
}

/// Every converter, in the order of the files.
pub(super) fn all() -> &'static [Converter] {
    static ALL: LazyLock<Vec<Converter>> = LazyLock::new(|| {
        let mut all = Vec::new();
        all.extend(aes::CONVERTERS);
        all.extend(codec::CONVERTERS);
        all.extend(date::CONVERTERS);
        all.extend(digest::CONVERTERS);
        all.extend(fix::CONVERTERS);
        all.extend(hash::CONVERTERS);
        all.extend(json::CONVERTERS);
        all.extend(map::converters());
        all.extend(math::CONVERTERS);
        all.extend(mqtt::CONVERTERS);
        all.extend(packet::CONVERTERS);
        all.extend(protobuf::CONVERTERS);
        all.extend(regsub::CONVERTERS);
        all.extend(rfc7239::CONVERTERS);
        all.extend(state::CONVERTERS);
        all.extend(string::CONVERTERS);
        all.extend(table::CONVERTERS);
        all.extend(token::CONVERTERS);
        all.extend(x509::CONVERTERS);
        all
    });
    &ALL
}

/// The converter of that name or alias.
pub(super) fn find(name: &str) -> Option<&'static Converter> {
    static INDEX: LazyLock<FxHashMap<&'static str, &'static Converter>> = LazyLock::new(|| {
        let names = |converter: &'static Converter| {
            std::iter::once(converter.name).chain(converter.aliases.iter().copied())
        };
        all()
            .iter()
            .flat_map(|converter| names(converter).map(move |name| (name, converter)))
            .collect()
    });
    INDEX.get(name).copied()
}

/// "did you mean".
pub(super) fn suggestion(name: &str) -> Option<String> {
    suggest::closest(name, all().iter().map(|converter| converter.name))
}

/// The bytes of a string or binary sample.
fn data(sample: Sample<'_>) -> Option<Data<'_>> {
    match sample {
        Sample::Str(data) | Sample::Bin(data) | Sample::Method(data) => Some(data),
        _ => None,
    }
}

fn int(sample: &Sample<'_>) -> Option<i64> {
    match sample {
        Sample::Int(value) => Some(*value),
        _ => None,
    }
}

/// A number given literally or by a variable's name.
fn number(arg: Option<&Arg>, view: &dyn View) -> Option<i64> {
    match arg? {
        Arg::Int(value) => Some(*value),
        Arg::Variable(name) => match view
            .variables(name.scope())?
            .read(name)?
            .cast(SampleType::Int)?
        {
            Sample::Int(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// The value of the variable an argument names.
fn variable(arg: Option<&Arg>, view: &dyn View) -> Option<Sample<'static>> {
    match arg? {
        Arg::Variable(name) => view.variables(name.scope())?.read(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
