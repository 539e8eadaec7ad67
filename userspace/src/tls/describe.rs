//! Certificates and revocation lists in words, as the Runtime API shows them (management.txt `show ssl cert`).

use std::fmt::Write as _;

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{
    ASN1Time, CertificateRevocationList, FromDer, GeneralName, X509Certificate, X509Name,
};
use x509_parser::public_key::PublicKey;

/// The lines about one certificate, without those about its file.
pub(super) fn certificate(der: &[u8]) -> String {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return String::new();
    };
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "Serial: {}", hexadecimal(parsed.raw_serial()));
    let _ = writeln!(text, "notBefore: {}", date(parsed.validity().not_before));
    let _ = writeln!(text, "notAfter: {}", date(parsed.validity().not_after));
    let _ = writeln!(text, "Subject Alternative Name: {}", alternatives(&parsed));
    let _ = writeln!(text, "Algorithm: {}", algorithm(&parsed));
    let _ = writeln!(text, "SHA1 FingerPrint: {}", fingerprint(der));
    let _ = writeln!(text, "Subject: {}", name(parsed.subject()));
    let _ = writeln!(text, "Issuer: {}", name(parsed.issuer()));
    text
}

/// Subject and issuer of a certificate behind the first one.
pub(super) fn link(der: &[u8]) -> String {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return String::new();
    };
    format!(
        "Chain Subject: {}\nChain Issuer: {}\n",
        name(parsed.subject()),
        name(parsed.issuer())
    )
}

/// The lines about one revocation list.
pub(super) fn revocation_list(der: &[u8]) -> String {
    let Ok((_, parsed)) = CertificateRevocationList::from_der(der) else {
        return String::new();
    };
    let mut text = String::new();
    let version = parsed.version().map_or(0, |version| version.0);
    let _ = writeln!(text, "Version {}", version + 1);
    let signature = parsed.signature_algorithm.algorithm.to_id_string();
    let signature = match signature.as_str() {
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        number => number,
    };
    let _ = writeln!(text, "Signature Algorithm: {signature}");
    let _ = writeln!(text, "Issuer: {}", name(parsed.issuer()));
    let _ = writeln!(text, "Last Update: {}", date(parsed.last_update()));
    let next = parsed.next_update().map_or_else(|| "NONE".to_owned(), date);
    let _ = writeln!(text, "Next Update: {next}");
    let mut revoked = parsed.iter_revoked_certificates().peekable();
    if revoked.peek().is_none() {
        text.push_str("No Revoked Certificates.\n");
        return text;
    }
    text.push_str("Revoked Certificates:\n");
    for entry in revoked {
        let serial = hexadecimal(entry.raw_serial());
        let _ = writeln!(text, "    Serial Number: {serial}");
        let _ = writeln!(
            text,
            "        Revocation Date: {}",
            date(entry.revocation_date)
        );
    }
    text
}

/// When a certificate begins and ends to be valid.
pub(super) fn validity(der: Option<&CertificateDer<'_>>) -> (String, String) {
    let parsed = der.and_then(|der| X509Certificate::from_der(der).ok());
    parsed.map_or_else(Default::default, |(_, parsed)| {
        let validity = parsed.validity();
        (date(validity.not_before), date(validity.not_after))
    })
}

fn fingerprint(der: &[u8]) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    hexadecimal(digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    // A leading zero only says that the number is not negative.
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        bytes => bytes,
    };
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// `Apr  1 07:40:53 2021 GMT`
fn date(time: ASN1Time) -> String {
    let date = time.to_datetime();
    let month = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ][usize::from(u8::from(date.month())) - 1];
    format!(
        "{month} {:2} {:02}:{:02}:{:02} {} GMT",
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
        date.year()
    )
}

/// `/C=FR/O=Organisation/CN=name`
fn name(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for attribute in name.iter_attributes() {
        let number = attribute.attr_type().to_id_string();
        let short = match number.as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.5" => "serialNumber",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            "1.2.840.113549.1.9.1" => "emailAddress",
            "0.9.2342.19200300.100.1.25" => "DC",
            number => number,
        };
        let value = attribute.as_str().unwrap_or_default();
        let _ = write!(text, "/{short}={value}");
    }
    text
}

fn alternatives(certificate: &X509Certificate<'_>) -> String {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension
        .iter()
        .flat_map(|found| &found.value.general_names);
    let shown = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        _ => None,
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn algorithm(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA{}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC{}", point.key_size()),
        _ => "unknown".to_owned(),
    }
}
