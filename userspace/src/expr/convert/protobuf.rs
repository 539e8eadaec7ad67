//! Fields of protocol buffers messages, bare or in gRPC frames (manual §7.3.1, `protobuf`, `ungrpc`).

use super::{Arg, Arguments, Converter, Data, Output, Run, data};
use crate::expr::args::ArgKind;
use crate::expr::{Parsing, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "protobuf",
        doc: "A field of a protocol buffers message.",
        run: Run::Sample(|sample, args, _| {
            let message = data(sample)?;
            let found = wanted(args)?.find(&message, 0)?;
            found.sample(message)
        }),
        ..FIELD
    },
    Converter {
        name: "ungrpc",
        doc: "A field of a gRPC message.",
        run: Run::Sample(|sample, args, _| {
            let body = data(sample)?;
            let wanted = wanted(args)?;
            let mut at = 0;
            // Each frame: whether it is compressed, four bytes of length, a message.
            while let Some([compressed, length @ ..]) = body.get(at..at + 5) {
                let length = u32::from_be_bytes(length.try_into().ok()?);
                let start = at + 5;
                let end = start.checked_add(usize::try_from(length).ok()?)?;
                let message = body.get(start..end)?;
                if *compressed != 0 {
                    return None;
                }
                if let Some(found) = wanted.find(message, 0) {
                    return found.shifted(start).sample(body);
                }
                at = end;
            }
            None
        }),
        ..FIELD
    },
];

const FIELD: Converter = Converter {
    args: Arguments::some(1, &[ArgKind::Text, ArgKind::Text]),
    input: SampleType::Bin,
    output: Output::Of(|args| match args.first() {
        Some(Arg::Compiled(wanted)) => match wanted.downcast_ref::<Wanted>() {
            Some(Wanted { kind: Some(_), .. }) => SampleType::Int,
            _ => SampleType::Bin,
        },
        _ => SampleType::Bin,
    }),
    compile: Some(compile),
    ..Converter::BASE
};

/// A field by its path of numbers, and how it is read.
struct Wanted {
    path: Vec<u32>,
    kind: Option<Kind>,
}

/// The types of a field that become numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int32,
    Int64,
    Uint32,
    Uint64,
    Signed32,
    Signed64,
    Bool,
    Fixed64,
    Double,
    Fixed32,
    SignedFixed32,
    Float,
}

/// Where a field's value is, and what it becomes.
#[derive(Clone, Copy)]
enum Found {
    Bytes(usize, usize),
    Number(i64),
}

fn compile(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let path = args.first().and_then(Arg::text).unwrap_or_default();
    let path = path
        .split('.')
        .map(|number| number.parse().ok().filter(|number| *number > 0))
        .collect::<Option<Vec<u32>>>()
        .filter(|path| path.len() <= DEPTH)
        .ok_or_else(|| format!("'{path}' is no path of field numbers"))?;
    let kind = match args.get(1).and_then(Arg::text) {
        None | Some("string") => None,
        Some(name) => match KINDS.iter().find(|(known, _)| *known == name) {
            Some((_, kind)) => Some(*kind),
            None => return Err(format!("unknown field type '{name}'")),
        },
    };
    Ok(vec![Arg::Compiled(std::sync::Arc::new(Wanted {
        path,
        kind,
    }))])
}

fn wanted(args: &[Arg]) -> Option<&Wanted> {
    match args.first()? {
        Arg::Compiled(wanted) => wanted.downcast_ref(),
        _ => None,
    }
}

impl Wanted {
    /// The first field that has the rest of the path, from `depth` on.
    fn find(&self, message: &[u8], depth: usize) -> Option<Found> {
        let number = *self.path.get(depth)?;
        let is_last = depth + 1 == self.path.len();
        let mut at = 0;
        while at < message.len() {
            let (tag, length) = varint(&message[at..])?;
            at += length;
            let (start, end) = extent(message, at, tag & 7)?;
            at = end;
            if tag >> 3 != u64::from(number) {
                continue;
            }
            let value = &message[start..end];
            if is_last {
                return match self.kind {
                    None => Some(Found::Bytes(start, end)),
                    Some(kind) => kind.read(tag & 7, value).map(Found::Number),
                };
            }
            if tag & 7 == LENGTH_DELIMITED
                && let Some(found) = self.find(value, depth + 1)
            {
                return Some(found.shifted(start));
            }
        }
        None
    }
}

impl Found {
    fn shifted(self, by: usize) -> Self {
        match self {
            Self::Bytes(start, end) => Self::Bytes(start + by, end + by),
            Self::Number(_) => self,
        }
    }

    fn sample(self, message: Data<'_>) -> Option<Sample<'_>> {
        Some(match self {
            Self::Bytes(start, end) => Sample::Bin(message.slice(start, end)),
            Self::Number(value) => Sample::Int(value),
        })
    }
}

impl Kind {
    fn read(self, wire: u64, value: &[u8]) -> Option<i64> {
        let number = match (self, wire) {
            (Self::Fixed64 | Self::Double, FIXED_64) => u64::from_le_bytes(value.try_into().ok()?),
            (Self::Fixed32 | Self::SignedFixed32 | Self::Float, FIXED_32) => {
                u32::from_le_bytes(value.try_into().ok()?).into()
            }
            (
                Self::Int32
                | Self::Int64
                | Self::Uint32
                | Self::Uint64
                | Self::Signed32
                | Self::Signed64
                | Self::Bool,
                VARINT,
            ) => varint(value)?.0,
            _ => return None,
        };
        let folded = (number >> 1) as i64 ^ -((number & 1) as i64);
        Some(match self {
            Self::Int32 => (number as i32).into(),
            Self::Uint32 => (number as u32).into(),
            Self::Signed32 => (folded as i32).into(),
            Self::Signed64 => folded,
            Self::Bool => (number != 0).into(),
            Self::SignedFixed32 => (number as u32 as i32).into(),
            Self::Float => f32::from_bits(number as u32) as i64,
            Self::Double => f64::from_bits(number) as i64,
            Self::Int64 | Self::Uint64 | Self::Fixed64 | Self::Fixed32 => number as i64,
        })
    }
}

/// Where the value of a field is that begins at `at`.
fn extent(message: &[u8], at: usize, wire: u64) -> Option<(usize, usize)> {
    let rest = message.get(at..)?;
    let (start, length) = match wire {
        VARINT => (at, varint(rest)?.1),
        FIXED_64 => (at, 8),
        LENGTH_DELIMITED => {
            let (length, size) = varint(rest)?;
            (at + size, usize::try_from(length).ok()?)
        }
        FIXED_32 => (at, 4),
        _ => return None,
    };
    let end = start.checked_add(length)?;
    (end <= message.len()).then_some((start, end))
}

/// A number in groups of seven bits, the lowest first, and how many bytes it takes.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;
/// As deep as messages may be nested in a path.
const DEPTH: usize = 64;

const KINDS: &[(&str, Kind)] = &[
    ("int32", Kind::Int32),
    ("int64", Kind::Int64),
    ("uint32", Kind::Uint32),
    ("uint64", Kind::Uint64),
    ("sint32", Kind::Signed32),
    ("sint64", Kind::Signed64),
    ("bool", Kind::Bool),
    ("enum", Kind::Int32),
    ("fixed64", Kind::Fixed64),
    ("sfixed64", Kind::Fixed64),
    ("double", Kind::Double),
    ("fixed32", Kind::Fixed32),
    ("sfixed32", Kind::SignedFixed32),
    ("float", Kind::Float),
];

#[cfg(test)]
mod tests {
    use crate::expr::testing::{Literal, eval, expression};

    fn check(cases: &[(&str, Option<&str>)]) {
        for (word, expected) in cases {
            assert_eq!(
                eval(word, &Literal::default()).as_deref(),
                *expected,
                "{word}"
            );
        }
    }

    #[test]
    fn fields_are_found_where_the_path_says() {
        check(&[
            ("bin(0a0408071009),protobuf(1.2,int32)", Some("9")),
            ("bin(0a0408071009),protobuf(2,int32)", None),
            ("bin(08071009),protobuf(1.2,int32)", None),
            ("bin(08071009),protobuf(2)", Some("\t")),
            // The first message has no such field; its sibling has.
            ("bin(0a0208070a021009),protobuf(1.2,int32)", Some("9")),
            ("bin(0a026869),protobuf(1)", Some("hi")),
            ("bin(0a026869),protobuf(1,int32)", None),
            ("bin(08ffffffffffffffffff01),protobuf(1,int64)", Some("-1")),
            ("bin(0803),protobuf(1,sint32)", Some("-2")),
            ("bin(090000000000000840),protobuf(1,double)", Some("3")),
            ("bin(0dffffffff),protobuf(1,sfixed32)", Some("-1")),
            ("bin(0dffffffff),protobuf(1,fixed32)", Some("4294967295")),
            ("bin(0a7f),protobuf(1)", None),
            ("bin(0bff),protobuf(1)", None),
        ]);
        for wrong in ["0", "1.", "a", "1,nothing"] {
            assert!(
                expression(&format!("bin(00),protobuf({wrong})")).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn every_frame_of_a_grpc_body_is_searched() {
        check(&[
            (
                "bin(000000000208070000000002100900),ungrpc(2,int32)",
                Some("9"),
            ),
            ("bin(01000000020807),ungrpc(1,int32)", None),
            ("bin(000000000308),ungrpc(1,int32)", None),
        ]);
    }
}
