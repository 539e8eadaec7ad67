//! Arithmetic, bits and truth. Results stop at the limits of 64 bits.

use super::{Arguments, Converter, Output, Run};
use crate::expr::args::ArgKind;
use crate::expr::{Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    with_operand("add", "Adds a number.", i64::saturating_add),
    with_operand("sub", "Subtracts a number.", i64::saturating_sub),
    with_operand("mul", "Multiplies by a number.", i64::saturating_mul),
    with_operand(
        "div",
        "Divides by a number; by 0 yields the largest one.",
        divide,
    ),
    with_operand(
        "mod",
        "Yields the remainder of a division; 0 for a division by 0.",
        remainder,
    ),
    with_operand("and", "Bitwise AND.", |value, operand| value & operand),
    with_operand("or", "Bitwise OR.", |value, operand| value | operand),
    with_operand("xor", "Bitwise XOR.", |value, operand| value ^ operand),
    alone("neg", "Changes the sign.", SampleType::Int, |value| {
        Sample::Int(value.saturating_neg())
    }),
    alone("cpl", "Flips all bits.", SampleType::Int, |value| {
        Sample::Int(!value)
    }),
    alone(
        "bool",
        "True for anything but 0.",
        SampleType::Bool,
        |value| Sample::Bool(value != 0),
    ),
    alone("not", "True for 0 only.", SampleType::Bool, |value| {
        Sample::Bool(value == 0)
    }),
    alone("odd", "True for odd numbers.", SampleType::Bool, |value| {
        Sample::Bool(value & 1 == 1)
    }),
    alone(
        "even",
        "True for even numbers.",
        SampleType::Bool,
        |value| Sample::Bool(value & 1 == 0),
    ),
    Converter {
        name: "htonl",
        input: SampleType::Int,
        output: Output::Type(SampleType::Bin),
        doc: "The low 32 bits as four bytes in network order.",
        run: Run::Int(|value| Sample::bin((value as u32).to_be_bytes().to_vec())),
        ..Converter::BASE
    },
];

const fn with_operand(
    name: &'static str,
    doc: &'static str,
    run: fn(i64, i64) -> i64,
) -> Converter {
    Converter {
        name,
        args: Arguments::all(&[ArgKind::IntOrVariable]),
        input: SampleType::Int,
        output: Output::Type(SampleType::Int),
        doc,
        run: Run::Operand(run),
        ..Converter::BASE
    }
}

const fn alone(
    name: &'static str,
    doc: &'static str,
    output: SampleType,
    run: fn(i64) -> Sample<'static>,
) -> Converter {
    Converter {
        name,
        input: SampleType::Int,
        output: Output::Type(output),
        doc,
        run: Run::Int(run),
        ..Converter::BASE
    }
}

fn divide(value: i64, by: i64) -> i64 {
    match by {
        0 => i64::MAX,
        _ => value.saturating_div(by),
    }
}

fn remainder(value: i64, by: i64) -> i64 {
    match by {
        0 => 0,
        _ => value.wrapping_rem(by),
    }
}
