//! Maps: `map`, `map_<match>` and `map_<match>_<output>` (manual §7.3.1).

use super::{Arg, Arguments, Converter, Output, Run, Sample, SampleType, View, data, regsub};
use crate::expr::Parsing;
use crate::expr::args::ArgKind;
use crate::expr::pattern::{Case, ListKind, MapOutput, Match, PatternSet};

/// All converters of the family; their names are made once.
pub(super) fn converters() -> Vec<Converter> {
    const MATCHES: [(&str, Match); 9] = [
        ("str", Match::Str),
        ("beg", Match::Beg),
        ("sub", Match::Sub),
        ("dir", Match::Dir),
        ("dom", Match::Dom),
        ("end", Match::End),
        ("reg", Match::Reg),
        ("int", Match::Int),
        ("ip", Match::Ip),
    ];
    const OUTPUTS: [(&str, MapOutput); 4] = [
        ("str", MapOutput::Str),
        ("int", MapOutput::Int),
        ("ip", MapOutput::Ip),
        ("key", MapOutput::Key),
    ];
    let mut all = vec![
        map("map", &["map_str"], Match::Str, MapOutput::Str),
        Converter {
            run: Run::Sample(with_groups),
            ..map("map_regm", &[], Match::Reg, MapOutput::Str)
        },
    ];
    for (match_name, matching) in MATCHES {
        if matching != Match::Str {
            all.push(map(
                format!("map_{match_name}").leak(),
                &[],
                matching,
                MapOutput::Str,
            ));
        }
        for (output_name, output) in OUTPUTS {
            all.push(map(
                format!("map_{match_name}_{output_name}").leak(),
                &[],
                matching,
                output,
            ));
        }
    }
    all
}

fn map(
    name: &'static str,
    aliases: &'static [&'static str],
    matching: Match,
    output: MapOutput,
) -> Converter {
    Converter {
        name,
        aliases,
        args: match output {
            // The key cannot have a default (manual).
            MapOutput::Key => Arguments::all(&[ArgKind::Text]),
            _ => Arguments::some(1, &[ArgKind::Text, ArgKind::Text]),
        },
        input: matching.sample_type(),
        output: Output::Type(match output {
            MapOutput::Int => SampleType::Int,
            MapOutput::Ip => SampleType::Address,
            _ => SampleType::Str,
        }),
        doc: "The value a map has for the input.",
        run: Run::Map,
        compile: None,
        map: Some((matching, output)),
    }
}

/// Loads the map and converts the default value.
pub(super) fn compile(
    (matching, output): (Match, MapOutput),
    args: &[Arg],
    parsing: &mut Parsing<'_>,
) -> Result<Vec<Arg>, String> {
    let file = args.first().and_then(Arg::text).unwrap_or_default();
    if file.is_empty() {
        return Err("missing map name".into());
    }
    let list = parsing.patterns.named(file, ListKind::Map, parsing.files)?;
    let set = PatternSet::new(matching, Case::Sensitive, output, &list)
        .map_err(|error| format!("{} of file '{file}'", error.message))?;
    let mut compiled = vec![Arg::Patterns(set)];
    if let Some(default) = args.get(1).and_then(Arg::text) {
        let wrong = || format!("cannot parse default value '{default}'");
        compiled.push(Arg::Constant(match output {
            MapOutput::Int => Sample::Int(default.parse().map_err(|_| wrong())?),
            MapOutput::Ip => Sample::Ip(default.parse().map_err(|_| wrong())?),
            _ => Sample::str(default).into_shared(),
        }));
    }
    Ok(compiled)
}

pub(super) fn lookup<'a>(sample: &Sample<'_>, args: &'a [Arg]) -> Option<Sample<'a>> {
    let Some(Arg::Patterns(set)) = args.first() else {
        return None;
    };
    set.lookup(sample)
        .map(|hit| hit.value)
        .or_else(|| default(args))
}

fn default(args: &[Arg]) -> Option<Sample<'_>> {
    match args.get(1) {
        Some(Arg::Constant(sample)) => Some(sample.reborrow()),
        _ => None,
    }
}

/// `map_regm`: `\1` in the value stands for what the key's first group matched.
fn with_groups<'a>(sample: Sample<'a>, args: &'a [Arg], _: &'a dyn View) -> Option<Sample<'a>> {
    let Some(Arg::Patterns(set)) = args.first() else {
        return None;
    };
    let Some(hit) = set.lookup(&sample) else {
        return default(args);
    };
    let text = data(sample)?;
    let captures = hit.regex.as_ref()?.captures(&text)?;
    let mut out = Vec::new();
    regsub::expand(&captures, &data(hit.value)?, &mut out);
    Some(Sample::str(out))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::expr::testing::{Literal, Texts};
    use crate::expr::{Expression, NoAcls, Parsing, Patterns, SampleType, Stage};

    #[test]
    fn maps_translate() {
        let files = Texts(HashMap::from([
            (
                "hosts",
                "# comment\n  example.com  one and  more  \nexample.org two\n\nexample.com never\n",
            ),
            ("paths", "/a short\n/a/b longer\n/c other\n"),
            (
                "nets",
                "10.0.0.0/8 wide\n10.1.0.0/16 narrow\n2001:db8::/32 six\n",
            ),
            ("codes", "200 ok\n300:399 moved\n"),
            ("numbers", "a 5\nb x\n"),
            ("ips", "a 192.0.2.1\n"),
            ("regs", "^/img/(.*)\\.png$ /static/\\1\n"),
        ]));
        let view = Literal::default();
        let eval = |word: &str| {
            let mut patterns = Patterns::default();
            let mut parsing = Parsing::new(Stage::Request, &files, &NoAcls, &mut patterns);
            let expression =
                Expression::parse(&[word], &mut 0, &mut parsing).map_err(|error| error.message)?;
            let sample = expression
                .eval(&view)
                .and_then(|sample| sample.cast(SampleType::Str));
            Ok::<_, String>(
                sample.map(|sample| String::from_utf8(sample.to_text().into_owned()).unwrap()),
            )
        };
        for (word, expected) in [
            ("str(example.com),map(hosts)", Some("one and  more")),
            ("str(example.org),map_str(hosts)", Some("two")),
            ("str(nowhere),map(hosts)", None),
            ("str(nowhere),map(hosts,default)", Some("default")),
            ("str(example.org),map_str_key(hosts)", Some("example.org")),
            ("str(/a/b/c),map_beg(paths)", Some("longer")),
            ("str(/a/x),map_beg(paths)", Some("short")),
            ("str(/x),map_beg(paths,none)", Some("none")),
            ("ipv4(10.1.2.3),map_ip(nets)", Some("narrow")),
            ("ipv4(10.2.2.3),map_ip(nets)", Some("wide")),
            ("str(2001:db8::5),map_ip(nets)", Some("six")),
            ("int(302),map_int(codes)", Some("moved")),
            ("int(404),map_int(codes,bad)", Some("bad")),
            ("str(a),map_str_ip(ips)", Some("192.0.2.1")),
            ("str(x),map_str_ip(ips,1.1.1.1)", Some("1.1.1.1")),
            ("str(/img/a/b.png),map_regm(regs)", Some("/static/a/b")),
            ("str(/img/a.gif),map_regm(regs,no)", Some("no")),
            ("str(sub.example.org),map_end(hosts)", Some("two")),
            ("str(sub.example.org),map_dom(hosts)", Some("two")),
        ] {
            assert_eq!(eval(word), Ok(expected.map(str::to_owned)), "{word}");
        }
        for (word, expected) in [
            (
                "str(a),map_str_int(numbers)",
                "'x' is not a valid integer at line 2 of file 'numbers'",
            ),
            (
                "str(a),map(missing)",
                "failed to open pattern file <missing>",
            ),
            ("str(a),map_str_ip(ips,x)", "cannot parse default value 'x'"),
        ] {
            let message = eval(word).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
