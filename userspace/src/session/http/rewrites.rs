//! What rules change of a message: fields, status, the parts of the target (manual §4.4).
//!
//! An action comes in, the message changes; whether that was possible goes out. Which rules apply, and what a rewrite that
//! fails means, is [`super::rules`]' business.

use super::edits::{self, TargetPart};
use super::errors::Failure;
use super::normalize;
use super::stream::HttpStream;
use crate::expr::{Direction, LogFormat};
use crate::model::{HttpAction, Normalizer};
use crate::proto::http::Head;

impl HttpStream<'_, '_> {
    /// Changes the message; false when that is not possible.
    pub(super) fn rewrite(&mut self, action: &HttpAction, message: Direction) -> bool {
        match action {
            HttpAction::AddHeader(name, format) => {
                self.with_value(format, message, |head, value| {
                    edits::is_field_value(value) && {
                        head.add(name.as_bytes(), value);
                        true
                    }
                })
            }
            HttpAction::SetHeader(name, format) => {
                self.with_value(format, message, |head, value| {
                    edits::is_field_value(value) && {
                        head.set(name.as_bytes(), value);
                        if name.eq_ignore_ascii_case("host") && head.is_request() {
                            edits::follow_host(head);
                        }
                        true
                    }
                })
            }
            HttpAction::DeleteHeader(wanted) => {
                self.head_mut(message)
                    .remove_where(|name, _| edits::name_matches(wanted, name));
                true
            }
            HttpAction::ReplaceHeader(name, regex, format) => {
                self.with_value(format, message, |head, template| {
                    edits::is_field_value(template) && {
                        head.rewrite_values(name.as_bytes(), &mut Vec::new(), |old, new| {
                            edits::replace(regex, old, template, new) && edits::is_field_value(new)
                        });
                        true
                    }
                })
            }
            HttpAction::ReplaceValue(name, regex, format) => {
                self.with_value(format, message, |head, template| {
                    edits::is_field_value(template) && {
                        head.rewrite_values(name.as_bytes(), &mut Vec::new(), |old, new| {
                            edits::replace_elements(regex, old, template, new)
                                && edits::is_field_value(new)
                        });
                        true
                    }
                })
            }
            HttpAction::ChangeFields {
                fields,
                change,
                prefix,
            } => self.change_fields(fields, *change, prefix, message),
            HttpAction::DeleteFields { names, part } => self.delete_fields(names, *part, message),
            HttpAction::SetStatus(status, reason) => {
                let usual = super::pages::reason(*status);
                let reason = reason.as_deref().unwrap_or(usual);
                self.head_mut(message)
                    .set_status(*status, reason.as_bytes());
                true
            }
            HttpAction::SetMethod(format) => self.with_value(format, message, |head, value| {
                let token = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
                token && {
                    head.set_method(value);
                    true
                }
            }),
            HttpAction::SetPath(format) => self.set_part(format, TargetPart::Path),
            HttpAction::SetPathQuery(format) => self.set_part(format, TargetPart::PathQuery),
            HttpAction::SetQuery(format) => self.set_part(format, TargetPart::Query),
            HttpAction::SetUri(format) => self.set_part(format, TargetPart::Uri),
            HttpAction::ReplacePath(regex, format) => {
                self.replace_part(regex, format, TargetPart::Path)
            }
            HttpAction::ReplacePathQuery(regex, format) => {
                self.replace_part(regex, format, TargetPart::PathQuery)
            }
            HttpAction::ReplaceUri(regex, format) => {
                self.replace_part(regex, format, TargetPart::Uri)
            }
            // The rest was dealt with where it belongs; the language lets no other set have it.
            _ => true,
        }
    }

    /// Rewrites the part of the target a normalizer is about; a broken escape may refuse the request.
    pub(super) fn normalize_uri(&mut self, normalizer: Normalizer) -> Result<(), Failure> {
        let part = normalize::part(normalizer);
        let Some(old) = edits::target_part(&self.messages.request, part) else {
            return Ok(());
        };
        let new = normalize::normalized(normalizer, old)
            .map_err(|_| Failure::Denied(400))?
            .into_owned();
        let same = new == old;
        if same || edits::set_target_part(&mut self.messages.request, part, &new) {
            return Ok(());
        }
        Err(Failure::Rewrite)
    }

    fn set_part(&mut self, format: &LogFormat, part: TargetPart) -> bool {
        self.with_value(format, Direction::Request, |head, value| {
            edits::set_target_part(head, part, value)
        })
    }

    fn replace_part(
        &mut self,
        regex: &regex::bytes::Regex,
        format: &LogFormat,
        part: TargetPart,
    ) -> bool {
        self.with_value(format, Direction::Request, |head, template| {
            let Some(old) = edits::target_part(head, part) else {
                return true;
            };
            let mut new = Vec::new();
            if !edits::replace(regex, old, template, &mut new) {
                return true;
            }
            edits::set_target_part(head, part, &new)
        })
    }

    /// Renders a format and gives it, with the message, to `change`; false when that fails or the
    /// message has become too large for a buffer.
    fn with_value(
        &mut self,
        format: &LogFormat,
        message: Direction,
        change: impl FnOnce(&mut Head, &[u8]) -> bool,
    ) -> bool {
        let mut value = std::mem::take(&mut self.messages.scratch);
        value.clear();
        format.render(&self.view(), &mut value);
        let most = self.connection.generation.model().global.tune.bufsize;
        let head = self.head_mut(message);
        let done = change(head, &value) && (head.text_len() <= most || size(head) <= most);
        self.messages.scratch = value;
        done
    }

    pub(super) fn head_mut(&mut self, message: Direction) -> &mut Head {
        match message {
            Direction::Request => &mut self.messages.request,
            Direction::Response => &mut self.messages.response,
        }
    }
}

/// Bytes the head takes when it is written.
fn size(head: &Head) -> usize {
    let start = head.method_name().len() + head.target().len() + head.reason().len() + 16;
    head.fields().fold(start, |sum, (name, value)| {
        sum + name.len() + value.len() + 4
    })
}
