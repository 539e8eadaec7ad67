//! What may not stand in a line or field as it is.

/// Which bytes are written in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// None.
    Nothing,
    /// In a log line: control characters but the tab, as `#XX` (manual §8.6).
    Log,
    /// A part of the request line in a log: what is not printable, `"` and `#`, as `#XX`.
    LogUri,
    /// A captured header in a log: the same, and `{`, `|`, `}`.
    LogHeader,
    /// A field of a message: control characters but the tab, as `%XX`.
    Http,
}

impl Escape {
    fn mark(self) -> u8 {
        match self {
            Self::Http => b'%',
            _ => b'#',
        }
    }

    fn applies(self, byte: u8) -> bool {
        let control = byte != b'\t' && (byte < b' ' || byte == 0x7f);
        let unprintable = !(b' '..=b'~').contains(&byte);
        match self {
            Self::Nothing => false,
            Self::Log | Self::Http => control,
            Self::LogUri => unprintable || matches!(byte, b'"' | b'#'),
            Self::LogHeader => unprintable || matches!(byte, b'"' | b'#' | b'{' | b'|' | b'}'),
        }
    }

    /// Appends `text`; with `backslashes`, `"`, `\` and `]` get one (flag `+E`).
    pub(super) fn append(self, text: &[u8], backslashes: bool, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        if self == Self::Nothing && !backslashes {
            out.extend_from_slice(text);
            return;
        }
        for &byte in text {
            if self.applies(byte) {
                out.extend_from_slice(&[
                    self.mark(),
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                ]);
            } else {
                if backslashes && matches!(byte, b'"' | b'\\' | b']') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        }
    }
}
