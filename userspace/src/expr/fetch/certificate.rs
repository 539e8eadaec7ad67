//! Fields of X.509 certificates: `ssl_c_*`, `ssl_f_*`, `ssl_s_*` (manual §7.3.4).
//!
//! Certificates come in DER form from the TLS room and are taken apart when asked for; names of entries and algorithms are
//! OpenSSL's.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::{Arg, Arguments, Certificate, Compile, Sample, SampleType, Side, View};
use crate::expr::args::ArgKind;
use crate::expr::time::Civil;

/// Which certificate of which connection.
#[derive(Clone, Copy)]
pub(in crate::expr) struct Certified {
    pub(super) side: Side,
    pub(super) which: Certificate,
}

/// What is read of it.
#[derive(Clone, Copy)]
pub(in crate::expr) enum Part {
    Der,
    ChainDer,
    Subject,
    Issuer,
    /// The subject of the chain's last certificate.
    Root,
    KeyAlgorithm,
    SignatureAlgorithm,
    NotAfter,
    NotBefore,
    Serial,
    Sha1,
    Version,
    AlternativeNames,
    Policies,
}

impl Part {
    /// The end of the keyword, for each.
    pub(super) const ALL: &'static [(&'static str, Self, &'static str)] = &[
        ("der", Self::Der, "The certificate in DER form."),
        ("chain_der", Self::ChainDer, "The whole chain in DER form."),
        (
            "s_dn",
            Self::Subject,
            "The subject's distinguished name, or one entry of it.",
        ),
        (
            "i_dn",
            Self::Issuer,
            "The issuer's distinguished name, or one entry of it.",
        ),
        (
            "r_dn",
            Self::Root,
            "The distinguished name of the chain's root, or one entry of it.",
        ),
        (
            "key_alg",
            Self::KeyAlgorithm,
            "The algorithm of the certificate's key.",
        ),
        (
            "sig_alg",
            Self::SignatureAlgorithm,
            "The algorithm of the certificate's signature.",
        ),
        ("notafter", Self::NotAfter, "The end of the validity."),
        (
            "notbefore",
            Self::NotBefore,
            "The beginning of the validity.",
        ),
        ("serial", Self::Serial, "The serial number."),
        ("sha1", Self::Sha1, "The SHA-1 fingerprint."),
        ("version", Self::Version, "The certificate's version."),
        (
            "san",
            Self::AlternativeNames,
            "The subject's alternative names.",
        ),
        ("policies", Self::Policies, "The certificate's policies."),
    ];

    /// Whether the keyword exists for this certificate.
    pub(super) fn exists_for(self, certified: Certified) -> bool {
        let client = certified.side == Side::Front && certified.which == Certificate::Peer;
        match self {
            Self::Root | Self::AlternativeNames | Self::Policies => client,
            Self::ChainDer => certified.which == Certificate::Peer,
            _ => true,
        }
    }

    pub(super) fn arguments(self) -> Arguments {
        match self {
            Self::Subject | Self::Issuer | Self::Root => {
                Arguments::some(0, &[ArgKind::Text, ArgKind::Int, ArgKind::Text])
            }
            Self::Policies => Arguments::some(0, &[ArgKind::Text]),
            _ => Arguments::NONE,
        }
    }

    pub(super) fn output(self) -> SampleType {
        match self {
            Self::Der | Self::ChainDer | Self::Serial | Self::Sha1 => SampleType::Bin,
            Self::Version => SampleType::Int,
            _ => SampleType::Str,
        }
    }

    pub(super) fn compile(self) -> Option<Compile> {
        match self {
            Self::Subject | Self::Issuer | Self::Root => {
                Some(|args, _| match args.get(2).and_then(Arg::text) {
                    None | Some("" | "rfc2253") => Ok(args),
                    Some(other) => Err(format!(
                        "unknown format '{other}': only 'rfc2253' is supported"
                    )),
                })
            }
            _ => None,
        }
    }

    pub(super) fn read<'a>(
        self,
        certified: Certified,
        view: &'a dyn View,
        args: &'a [Arg],
    ) -> Option<Sample<'a>> {
        let tls = view.tls(certified.side)?;
        if let Self::ChainDer = self {
            let chain = tls.peer_chain().concat();
            return (!chain.is_empty()).then(|| Sample::bin(chain));
        }
        let der = match self {
            Self::Root => tls.peer_chain().last()?,
            _ => tls.certificate(certified.which)?,
        };
        match self {
            Self::Der => return Some(Sample::bin(der)),
            Self::Sha1 => {
                let digest =
                    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
                return Some(Sample::bin(digest.as_ref().to_vec()));
            }
            _ => {}
        }
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        self.of(&certificate, args)
    }

    fn of<'a>(self, certificate: &X509Certificate<'_>, args: &[Arg]) -> Option<Sample<'a>> {
        Some(match self {
            Self::Subject | Self::Root => Sample::str(name(certificate.subject(), args)?),
            Self::Issuer => Sample::str(name(certificate.issuer(), args)?),
            Self::KeyAlgorithm => {
                Sample::str(algorithm(&certificate.public_key().algorithm.algorithm))
            }
            Self::SignatureAlgorithm => {
                Sample::str(algorithm(&certificate.signature_algorithm.algorithm))
            }
            Self::NotAfter => Sample::str(time(certificate.validity().not_after)),
            Self::NotBefore => Sample::str(time(certificate.validity().not_before)),
            Self::Serial => Sample::bin(certificate.raw_serial().to_vec()),
            Self::Version => Sample::Int(i64::from(certificate.version().0) + 1),
            Self::AlternativeNames => Sample::str(alternative_names(certificate)?),
            Self::Policies => policies(certificate, args)?,
            Self::Der | Self::ChainDer | Self::Sha1 => return None,
        })
    }
}

/// A distinguished name as a whole, or the entry asked for.
fn name(name: &X509Name<'_>, args: &[Arg]) -> Option<Vec<u8>> {
    let wanted = args.first().and_then(Arg::text).unwrap_or_default();
    let occurrence = args.get(1).and_then(Arg::int).unwrap_or(0);
    let rfc2253 = args.get(2).and_then(Arg::text) == Some("rfc2253");
    let mut entries: Vec<(String, &[u8])> = name
        .iter_attributes()
        .map(|entry| (entry_name(entry.attr_type()), entry.as_slice()))
        .collect();
    if !wanted.is_empty() {
        let mut matching = entries
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| *value);
        let value = match occurrence {
            1.. => matching.nth(usize::try_from(occurrence - 1).ok()?)?,
            0 => matching.next()?,
            _ => matching.nth_back(usize::try_from(-occurrence - 1).ok()?)?,
        };
        return well_formed(value).then(|| value.to_vec());
    }
    if !entries.iter().all(|(_, value)| well_formed(value)) {
        return None;
    }
    let mut out = Vec::new();
    if rfc2253 {
        entries.reverse();
        for (at, (name, value)) in entries.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            escape_rfc2253(value, &mut out);
        }
    } else {
        for (name, value) in entries {
            out.push(b'/');
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    (!out.is_empty()).then_some(out)
}

/// A value with a null byte followed by something is malformed (manual).
fn well_formed(value: &[u8]) -> bool {
    memchr::memchr(0, value).is_none_or(|at| at + 1 == value.len())
}

fn escape_rfc2253(value: &[u8], out: &mut Vec<u8>) {
    for (at, &byte) in value.iter().enumerate() {
        let first = at == 0 && matches!(byte, b' ' | b'#');
        let last = at + 1 == value.len() && byte == b' ';
        if first || last || matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

/// OpenSSL's short name of an entry, or its number.
fn entry_name(oid: &Oid<'_>) -> String {
    let number = oid.to_id_string();
    let short = match number.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return number,
    };
    short.to_owned()
}

/// OpenSSL's name of an algorithm, or its number.
fn algorithm(oid: &Oid<'_>) -> String {
    let number = oid.to_id_string();
    let known = match number.as_str() {
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.5" => "RSA-SHA1",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.113549.1.1.11" => "RSA-SHA256",
        "1.2.840.113549.1.1.12" => "RSA-SHA384",
        "1.2.840.113549.1.1.13" => "RSA-SHA512",
        "1.2.840.10040.4.1" => "dsaEncryption",
        "1.2.840.10045.2.1" => "id-ecPublicKey",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        _ => return number,
    };
    known.to_owned()
}

/// `YYMMDDhhmmssZ`.
fn time(time: ASN1Time) -> Vec<u8> {
    let mut out = Vec::new();
    Civil::new(time.timestamp(), 0, 0).strftime("%y%m%d%H%M%SZ", &mut out);
    out
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Option<String> {
    let extension = certificate.subject_alternative_name().ok()??;
    let names = extension.value.general_names.iter().filter_map(|name| {
        Some(match name {
            GeneralName::DNSName(name) => format!("DNS:{name}"),
            GeneralName::RFC822Name(name) => format!("email:{name}"),
            GeneralName::URI(name) => format!("URI:{name}"),
            GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                Ok(octets) => format!("IP Address:{}", std::net::Ipv4Addr::from(octets)),
                Err(_) => format!(
                    "IP Address:{}",
                    std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?)
                ),
            },
            GeneralName::RegisteredID(oid) => format!("Registered ID:{}", oid.to_id_string()),
            _ => return None,
        })
    });
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// All policies, or the one asked for where the certificate has it.
fn policies<'a>(certificate: &X509Certificate<'_>, args: &[Arg]) -> Option<Sample<'a>> {
    let found = certificate.extensions().iter().find_map(|extension| {
        match extension.parsed_extension() {
            ParsedExtension::CertificatePolicies(policies) => Some(policies),
            _ => None,
        }
    })?;
    let mut numbers = found.iter().map(|policy| policy.policy_id.to_id_string());
    match args
        .first()
        .and_then(Arg::text)
        .filter(|wanted| !wanted.is_empty())
    {
        Some(wanted) => numbers.find(|number| number == wanted).map(Sample::str),
        None => Some(Sample::str(numbers.collect::<Vec<_>>().join(", "))),
    }
}
