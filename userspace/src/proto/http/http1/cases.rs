//! Field names in the case that a peer minds, although none should (manual §3.1 `h1-case-adjust`).
//!
//! Names are lower case everywhere else; here the text of a finished head is changed in place.

use rustc_hash::FxHashMap;

/// How some field names are written.
#[derive(Clone, Debug, Default)]
pub struct FieldCases(FxHashMap<Box<[u8]>, Box<[u8]>>);

/// What is wrong with a pair of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// The first one is not as it is known here.
    #[error("the first name must be in lower case")]
    NotLower,
    /// They are different names.
    #[error("both names must be the same but for their case")]
    Different,
    /// The name has a case already.
    #[error("this name was given before")]
    Duplicate,
}

impl FieldCases {
    /// Adds a name and how it is written.
    ///
    /// # Errors
    /// The two do not fit, or the name was added before.
    pub fn add(&mut self, from: &str, to: &str) -> Result<(), CaseError> {
        if from.is_empty() || from.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(CaseError::NotLower);
        }
        if !from.eq_ignore_ascii_case(to) {
            return Err(CaseError::Different);
        }
        match self.0.insert(from.as_bytes().into(), to.as_bytes().into()) {
            None => Ok(()),
            Some(_) => Err(CaseError::Duplicate),
        }
    }

    /// Changes the names in the text of a head, from its first line to its end.
    pub fn adjust(&self, head: &mut [u8]) {
        let mut rest = head;
        // The first line has no name.
        let mut is_field = false;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at_mut(end + 1);
            let name = line.iter().position(|&byte| byte == b':');
            if let Some(name) = name.filter(|_| is_field).map(|length| &mut line[..length])
                && let Some(written) = self.0.get(&*name)
            {
                name.copy_from_slice(written);
            }
            is_field = true;
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_case_and_nothing_else_changes() {
        let mut cases = FieldCases::default();
        cases.add("content-length", "Content-Length").unwrap();
        cases.add("x-a", "X-a").unwrap();
        let mut head = b"GET x-a:content-length HTTP/1.1\r\nx-a: content-length\r\nx-ab: 1\r\ncontent-length: 2\r\n\r\n".to_vec();
        cases.adjust(&mut head);
        assert_eq!(
            String::from_utf8(head).unwrap(),
            "GET x-a:content-length HTTP/1.1\r\nX-a: content-length\r\nx-ab: 1\r\nContent-Length: 2\r\n\r\n"
        );
        assert_eq!(cases.add("X-b", "x-B"), Err(CaseError::NotLower));
        assert_eq!(cases.add("x-b", "x-c"), Err(CaseError::Different));
        assert_eq!(cases.add("x-a", "X-A"), Err(CaseError::Duplicate));
    }
}
