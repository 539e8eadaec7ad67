//! MQTT's first packets: CONNECT from the client, CONNACK from the server (manual §7.3.1, `mqtt_*`; MQTT 3.1, 3.1.1, 5.0).
//!
//! A packet is read as a whole before any of it is shown, so that a field of a malformed packet is absent.

use super::{Arg, Arguments, Converter, Data, Output, Run, data};
use crate::expr::args::ArgKind;
use crate::expr::{Parsing, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "mqtt_is_valid",
        input: SampleType::Bin,
        output: Output::Type(SampleType::Bool),
        doc: "Whether this is a valid CONNECT or CONNACK packet of MQTT.",
        run: Run::Sample(|sample, _, _| {
            let packet = data(sample)?;
            Some(Sample::Bool(Packet::read(&packet).is_some()))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "mqtt_field_value",
        args: Arguments::all(&[ArgKind::Text, ArgKind::Text]),
        input: SampleType::Bin,
        output: Output::Type(SampleType::Bin),
        doc: "A field or property of a CONNECT or CONNACK packet of MQTT.",
        run: Run::Sample(|sample, args, _| {
            let kind = args.first().and_then(Arg::int)?;
            let wanted = args.get(1)?;
            let bytes = data(sample)?;
            let value = {
                let packet = Packet::read(&bytes)?;
                if i64::from(packet.kind) != kind {
                    return None;
                }
                packet.value(wanted)?
            };
            Some(match value {
                Value::Bytes(start, end) => Sample::Bin(bytes.slice(start, end)),
                Value::Number(number) => Sample::Bin(Data::Owned(number.to_string().into_bytes())),
            })
        }),
        compile: Some(compile),
        ..Converter::BASE
    },
];

/// The packet's type becomes its number, a property too; a field keeps its name in lower case.
fn compile(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let word = |at: usize| {
        let text = args.get(at).and_then(Arg::text).unwrap_or_default();
        text.to_ascii_lowercase()
    };
    let (kind, fields, properties) = match word(0).as_str() {
        "connect" | "1" => (
            CONNECT,
            CONNECT_FIELDS,
            [CONNECT_PROPERTIES, WILL_PROPERTIES],
        ),
        "connack" | "2" => (CONNACK, CONNACK_FIELDS, [CONNACK_PROPERTIES, &[]]),
        other => {
            return Err(format!(
                "'{other}' is no packet type data can be taken from"
            ));
        }
    };
    let field = word(1);
    let wanted = match field.parse::<u8>() {
        Ok(id) if id != USER_PROPERTY && properties.iter().any(|set| set.contains(&id)) => {
            Arg::Int(id.into())
        }
        Err(_) if fields.contains(&field.as_str()) => Arg::Text(field.into()),
        _ => return Err(format!("'{field}' is no field of this packet type")),
    };
    Ok(vec![Arg::Int(kind.into()), wanted])
}

#[derive(Clone, Copy)]
enum Value {
    Bytes(usize, usize),
    Number(u64),
}

/// A packet's fields by name, and its properties by number.
struct Packet {
    kind: u8,
    fields: Vec<(&'static str, Value)>,
    properties: Vec<(u8, Value)>,
}

impl Packet {
    /// The packet the bytes are; nothing where they are no valid one, or not all of it.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let first = reader.byte()?;
        let length = usize::try_from(reader.varint()?).ok()?;
        if bytes.len() - reader.at != length || first & 15 != 0 {
            return None;
        }
        let mut packet = Self {
            kind: first >> 4,
            fields: Vec::new(),
            properties: Vec::new(),
        };
        match packet.kind {
            CONNECT => packet.connect(&mut reader)?,
            CONNACK => packet.acknowledge(&mut reader, length)?,
            _ => return None,
        }
        (reader.at == bytes.len()).then_some(packet)
    }

    /// MQTT 5.0 §3.1
    fn connect(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let name = reader.text()?;
        self.fields.push(("protocol_name", name));
        let version = reader.byte()?;
        if !matches!(
            (reader.of(name), version),
            (b"MQIsdp", 3) | (b"MQTT", 4 | VERSION_5)
        ) {
            return None;
        }
        self.number("protocol_version", version.into());
        let flags = reader.byte()?;
        self.number("flags", flags.into());
        let has = |bit: u8| flags & bit != 0;
        let quality = flags >> 3 & 3;
        let is_wrong = has(RESERVED)
            || quality == 3
            || (!has(WILL) && (quality != 0 || has(WILL_RETAIN)))
            || (version != VERSION_5 && has(PASSWORD) && !has(USERNAME));
        if is_wrong {
            return None;
        }
        let keepalive = reader.number(2)?;
        self.number("keepalive", keepalive);
        if version == VERSION_5 {
            self.properties(reader, CONNECT_PROPERTIES)?;
        }
        let identifier = reader.text()?;
        self.fields.push(("client_identifier", identifier));
        if has(WILL) {
            if version == VERSION_5 {
                self.properties(reader, WILL_PROPERTIES)?;
            }
            let topic = reader.text()?;
            self.fields.push(("will_topic", topic));
            let payload = reader.text()?;
            self.fields.push(("will_payload", payload));
        }
        for (bit, name) in [(USERNAME, "username"), (PASSWORD, "password")] {
            if has(bit) {
                let value = reader.text()?;
                self.fields.push((name, value));
            }
        }
        Some(())
    }

    /// MQTT 5.0 §3.2; before, the packet ended behind the reason.
    fn acknowledge(&mut self, reader: &mut Reader<'_>, length: usize) -> Option<()> {
        let flags = reader.byte()?;
        if flags > 1 {
            return None;
        }
        self.number("flags", flags.into());
        let reason = reader.byte()?;
        self.number("reason_code", reason.into());
        if length == 2 {
            self.number("protocol_version", 4);
            return (reason <= 5).then_some(());
        }
        self.number("protocol_version", VERSION_5.into());
        self.properties(reader, CONNACK_PROPERTIES)
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.fields.push((name, Value::Number(value)));
    }

    /// Properties, each at most once but for the user's own.
    fn properties(&mut self, reader: &mut Reader<'_>, allowed: &[u8]) -> Option<()> {
        let length = usize::try_from(reader.varint()?).ok()?;
        let end = reader.at.checked_add(length)?;
        let first = self.properties.len();
        while reader.at < end {
            let id = u8::try_from(reader.varint()?).ok()?;
            if !allowed.contains(&id) {
                return None;
            }
            let value = match id {
                1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => Value::Number(reader.number(1)?),
                19 | 33 | 34 => Value::Number(reader.number(2)?),
                2 | 17 | 24 | 39 => Value::Number(reader.number(4)?),
                USER_PROPERTY => {
                    reader.text()?;
                    reader.text()?;
                    continue;
                }
                _ => reader.text()?,
            };
            if self.properties[first..]
                .iter()
                .any(|(known, _)| *known == id)
            {
                return None;
            }
            self.properties.push((id, value));
        }
        (reader.at == end).then_some(())
    }

    fn value(&self, wanted: &Arg) -> Option<Value> {
        match wanted {
            Arg::Int(id) => {
                let found = self
                    .properties
                    .iter()
                    .find(|(known, _)| i64::from(*known) == *id);
                found.map(|(_, value)| *value)
            }
            Arg::Text(name) => {
                let found = self.fields.iter().find(|(known, _)| *known == &**name);
                found.map(|(_, value)| *value)
            }
            _ => None,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self, size: usize) -> Option<u64> {
        let mut value = 0;
        for _ in 0..size {
            value = value << 8 | u64::from(self.byte()?);
        }
        Some(value)
    }

    /// At most four groups of seven bits, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Bytes behind their length.
    fn text(&mut self) -> Option<Value> {
        let length = usize::try_from(self.number(2)?).ok()?;
        let start = self.at;
        self.at = start + length;
        (self.at <= self.bytes.len()).then_some(Value::Bytes(start, self.at))
    }

    fn of(&self, value: Value) -> &'a [u8] {
        match value {
            Value::Bytes(start, end) => self.bytes.get(start..end).unwrap_or_default(),
            Value::Number(_) => &[],
        }
    }
}

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const VERSION_5: u8 = 5;

const RESERVED: u8 = 0x01;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

const USER_PROPERTY: u8 = 38;

const CONNECT_FIELDS: &[&str] = &[
    "flags",
    "protocol_name",
    "protocol_version",
    "client_identifier",
    "will_topic",
    "will_payload",
    "username",
    "password",
    "keepalive",
];
const CONNACK_FIELDS: &[&str] = &["flags", "protocol_version", "reason_code"];

const CONNECT_PROPERTIES: &[u8] = &[17, 33, 39, 34, 25, 23, 38, 21, 22];
const WILL_PROPERTIES: &[u8] = &[24, 1, 2, 3, 8, 9, 38];
const CONNACK_PROPERTIES: &[u8] = &[
    17, 33, 36, 37, 39, 18, 34, 31, 38, 40, 41, 42, 19, 26, 28, 21, 22,
];

#[cfg(test)]
mod tests {
    use crate::expr::testing::{Literal, eval, expression};

    /// A CONNECT of MQTT 5.0 that is longer than what its fields take.
    const CONNECT: &str = "102d00044d51545405ee003c05270000001400016303030001780001740001700001750001703030303030303030303030";

    fn converted(packet: &str, converter: &str) -> Option<String> {
        eval(&format!("bin({packet}),{converter}"), &Literal::default())
    }

    #[test]
    fn fields_and_properties_are_found() {
        let packet = "102400044d51545405ee003c0527000000140001630403000178000174000170000175000170";
        for (field, expected) in [
            ("flags", "238"),
            ("protocol_name", "MQTT"),
            ("Protocol_Version", "5"),
            ("keepalive", "60"),
            ("client_identifier", "c"),
            ("will_topic", "t"),
            ("will_payload", "p"),
            ("username", "u"),
            ("password", "p"),
            ("39", "20"),
            ("3", "x"),
        ] {
            let value = converted(packet, &format!("mqtt_field_value(connect,{field})"));
            assert_eq!(value.as_deref(), Some(expected), "{field}");
        }
        assert_eq!(converted(packet, "mqtt_field_value(connack,flags)"), None);
        assert_eq!(converted(packet, "mqtt_field_value(1,17)"), None);
        for wrong in ["connect,38", "connect,reason_code", "publish,flags"] {
            assert!(
                expression(&format!("bin(00),mqtt_field_value({wrong})")).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn only_whole_packets_of_known_versions_are_valid() {
        let valid = |packet: &str| converted(packet, "mqtt_is_valid").unwrap() == "1";
        assert!(valid("20020000"));
        assert!(valid("200600000322000a"));
        for wrong in [
            "d000",
            "21020000",
            "2002",
            "2002000000",
            "20020006",
            "200600000322000a00",
            "2009000006220001220001",
            CONNECT,
        ] {
            assert!(!valid(wrong), "{wrong}");
        }
    }
}
