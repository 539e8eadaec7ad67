//! Strings: case, parts, concatenation, choice.

use super::{Converter, Data, Output, Run, data};
use crate::expr::{Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    string("lower", "Lower case.", |text| {
        map_case(
            text,
            |byte| byte.is_ascii_uppercase(),
            u8::to_ascii_lowercase,
        )
    }),
    string("upper", "Upper case.", |text| {
        map_case(
            text,
            |byte| byte.is_ascii_lowercase(),
            u8::to_ascii_uppercase,
        )
    }),
    Converter {
        name: "length",
        output: Output::Type(SampleType::Int),
        doc: "The length of the string.",
        run: Run::Sample(|sample, _, _| Some(Sample::Int(data(sample)?.len() as i64))),
        ..Converter::BASE
    },
];

/// A converter from string to string without arguments.
const fn string(name: &'static str, doc: &'static str, run: fn(Data<'_>) -> Data<'_>) -> Converter {
    Converter {
        name,
        doc,
        run: Run::Text(run),
        ..Converter::BASE
    }
}

/// Changes bytes where some need it; text that needs none stays borrowed.
fn map_case(text: Data<'_>, needs: fn(&u8) -> bool, change: fn(&u8) -> u8) -> Data<'_> {
    if !text.iter().any(needs) {
        return text;
    }
    let mut bytes = text.into_vec();
    for byte in &mut bytes {
        *byte = change(byte);
    }
    Data::Owned(bytes)
}
