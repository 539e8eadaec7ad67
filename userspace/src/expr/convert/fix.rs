//! FIX messages: Financial Information eXchange (manual §7.3.1, `fix_*`).
//!
//! A message is `tag=value` pairs, each ended by a byte of value 1.

use super::{Arg, Arguments, Converter, Output, Run, data};
use crate::expr::args::ArgKind;
use crate::expr::{Parsing, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "fix_is_valid",
        input: SampleType::Bin,
        output: Output::Type(SampleType::Bool),
        doc: "Whether this is a valid FIX message.",
        run: Run::Sample(|sample, _, _| Some(Sample::Bool(validate(&data(sample)?).is_some()))),
        ..Converter::BASE
    },
    Converter {
        name: "fix_tag_value",
        args: Arguments::all(&[ArgKind::Text]),
        input: SampleType::Bin,
        output: Output::Type(SampleType::Bin),
        doc: "The value of a tag in a FIX message.",
        run: Run::Sample(|sample, args, _| {
            let wanted = u32::try_from(args.first().and_then(Arg::int)?).ok()?;
            let message = data(sample)?;
            let (start, end) = fields(&message)
                .map_while(|field| field)
                .find(|field| field.tag == wanted)?
                .value;
            Some(Sample::Bin(message.slice(start, end)))
        }),
        compile: Some(compile),
        ..Converter::BASE
    },
];

/// A tag is a number; a few have names.
fn compile(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let word = args.first().and_then(Arg::text).unwrap_or_default();
    let named = NAMES.iter().find(|(name, _)| *name == word);
    let tag = match named {
        Some((_, tag)) => Some(*tag),
        None => number(word.as_bytes()),
    };
    match tag {
        Some(tag) => Ok(vec![Arg::Int(tag.into())]),
        None => Err(format!("Unknown FIX tag name '{word}'")),
    }
}

struct Field {
    tag: u32,
    /// From the first byte of the tag.
    start: usize,
    value: (usize, usize),
    /// Behind the delimiter.
    end: usize,
}

/// The fields in order; `None` where what follows is no field.
fn fields(message: &[u8]) -> impl Iterator<Item = Option<Field>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = message.get(at..).filter(|rest| !rest.is_empty())?;
        let field = memchr::memchr(DELIMITER, rest).and_then(|end| {
            let equals = memchr::memchr(b'=', &rest[..end])?;
            let tag = number(&rest[..equals])?;
            (equals + 1 < end).then_some(Field {
                tag,
                start: at,
                value: (at + equals + 1, at + end),
                end: at + end + 1,
            })
        });
        at = field.as_ref().map_or(message.len(), |field| field.end);
        Some(field)
    })
}

/// The begin string, the body's length, the type of the message, any fields, the checksum.
fn validate(message: &[u8]) -> Option<()> {
    let mut fields = fields(message);
    let mut next = |wanted: u32| {
        let field = fields.next()??;
        (field.tag == wanted).then_some(field)
    };
    let begin = next(BEGIN_STRING)?;
    if !VERSIONS.contains(&&message[begin.value.0..begin.value.1]) {
        return None;
    }
    let length = next(BODY_LENGTH)?;
    let size = number(&message[length.value.0..length.value.1])?;
    next(MESSAGE_TYPE)?;
    let body_end = length.end.checked_add(usize::try_from(size).ok()?)?;
    let checksum = loop {
        let field = fields.next()??;
        if field.start >= body_end {
            break field;
        }
    };
    let digits = &message[checksum.value.0..checksum.value.1];
    let sum = message[..body_end]
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let fits = checksum.start == body_end
        && checksum.tag == CHECKSUM
        && digits.len() == 3
        && number(digits) == Some(sum.into());
    fits.then_some(())
}

/// Digits only.
fn number(text: &[u8]) -> Option<u32> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

const DELIMITER: u8 = 1;
const BEGIN_STRING: u32 = 8;
const BODY_LENGTH: u32 = 9;
const CHECKSUM: u32 = 10;
const MESSAGE_TYPE: u32 = 35;

const VERSIONS: &[&[u8]] = &[
    b"FIX.4.0",
    b"FIX.4.1",
    b"FIX.4.2",
    b"FIX.4.3",
    b"FIX.4.4",
    b"FIXT.1.1",
];

const NAMES: &[(&str, u32)] = &[
    ("BeginString", BEGIN_STRING),
    ("BodyLength", BODY_LENGTH),
    ("CheckSum", CHECKSUM),
    ("MsgType", MESSAGE_TYPE),
    ("SenderCompID", 49),
    ("TargetCompID", 56),
];

#[cfg(test)]
mod tests {
    use crate::expr::testing::{Literal, eval};

    fn converted(message: &str, converter: &str) -> Option<String> {
        let hex: String = message
            .bytes()
            .map(|byte| format!("{:02x}", if byte == b'|' { 1 } else { byte }))
            .collect();
        eval(&format!("bin({hex}),{converter}"), &Literal::default())
    }

    #[test]
    fn a_message_is_valid_as_a_whole_or_not_at_all() {
        let valid = |message: &str| converted(message, "fix_is_valid").unwrap() == "1";
        assert!(valid("8=FIX.4.4|9=5|35=0|10=163|"));
        assert!(valid("8=FIX.4.4|9=5|35=0|10=163|8=FIX.4.4|"));
        for wrong in [
            "",
            "8=FIX.4.4|9=5|35=0|10=164|",
            "8=FIX.4.4|9=5|35=0|10=63|",
            "8=FIX.4.4|9=4|35=0|10=163|",
            "8=FIX.4.4|9=99999999999|35=0|10=163|",
            "8=FIX.9.9|9=5|35=0|10=163|",
            "9=5|8=FIX.4.4|35=0|10=163|",
            "8=FIX.4.4|9=5|35=0|10=163",
            "8=FIX.4.4|9=5|35=|10=163|",
        ] {
            assert!(!valid(wrong), "{wrong}");
        }
    }

    #[test]
    fn tags_are_found_by_number_and_by_name() {
        let message = "8=FIX.4.4|9=5|35=A|49=ME|10=1|";
        assert_eq!(
            converted(message, "fix_tag_value(49)").as_deref(),
            Some("ME")
        );
        assert_eq!(
            converted(message, "fix_tag_value(MsgType)").as_deref(),
            Some("A")
        );
        assert_eq!(converted(message, "fix_tag_value(50)"), None);
    }
}
