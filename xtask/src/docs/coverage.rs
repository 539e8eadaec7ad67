//! `cargo xtask coverage`: how much of HAProxy's language there is.
//!
//! Input is a table of HAProxy's keywords with how much they are used, and the words the daemon lists; output is a table by
//! kind, the names that are missing, and with `--write` the page of the reference. A word counts where it works in every
//! place the table names, or is on the no-op list; a word that is refused does not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::language::{self, State, Word};
use crate::Verdict;
use crate::workspace::Workspace;

/// What `cargo xtask coverage` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Tab-separated: name, kind, section, TOP or COMMON or nothing, …, a note that names an action's rule sets
    #[arg(long)]
    keywords: PathBuf,
    /// Also show what is missing of the words nobody marked
    #[arg(long)]
    all: bool,
    /// Write the table into docs/reference/coverage.md
    #[arg(long)]
    write: bool,
    /// Fail unless every TOP word and nine of ten COMMON words in scope are there
    #[arg(long)]
    strict: bool,
}

/// Compares, and shows the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Verdict> {
    let text = std::fs::read_to_string(&options.keywords)
        .with_context(|| format!("cannot read {}", options.keywords.display()))?;
    let theirs = read(&text)?;
    let program = language::daemon(workspace)?;
    let coverage = Coverage::of(&theirs, &language::words(&program)?);
    print!("{}", coverage.table());
    print!("{}", coverage.missing(options.all));
    if options.write {
        let path = workspace.root().join("docs/reference/coverage.md");
        std::fs::create_dir_all(workspace.root().join("docs/reference"))?;
        std::fs::write(&path, coverage.page())?;
        println!("coverage: wrote {}", path.display());
    }
    let (top, common) = (coverage.total("TOP"), coverage.total("COMMON"));
    let reached = top.known == top.all && common.known * 10 >= common.all * 9;
    Ok(if reached || !options.strict {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// One of HAProxy's words.
#[derive(Clone, Debug)]
struct Theirs {
    name: String,
    kind: String,
    /// `TOP`, `COMMON` or nothing.
    tier: String,
    note: String,
}

impl Theirs {
    /// Words of parts that are left out on purpose.
    fn is_in_scope(&self) -> bool {
        let text = format!("{} {}", self.kind, self.name).to_lowercase();
        !OUT_OF_SCOPE.iter().any(|part| text.contains(part))
    }

    /// Where it must work to count.
    fn places(&self) -> Vec<&str> {
        if self.kind == "action" {
            return self
                .note
                .split_whitespace()
                .filter(|place| *place != "quic-initial")
                // Services for TCP come from Lua only, which is out of scope.
                .filter(|place| self.name != "use-service" || *place == "http-req")
                .collect();
        }
        if self.kind == "proxy-directive" && self.note.len() == 4 {
            let sections = ["defaults", "frontend", "listen", "backend"];
            return sections
                .into_iter()
                .zip(self.note.chars())
                .filter(|(_, mark)| *mark == 'X')
                .map(|(section, _)| section)
                .collect();
        }
        Vec::new()
    }
}

fn read(text: &str) -> Result<Vec<Theirs>> {
    let mut all = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        ensure!(fields.len() >= 4, "not a line of the keyword table: {line}");
        if fields[1] == "kind" {
            continue;
        }
        all.push(Theirs {
            name: fields[0].to_owned(),
            kind: fields[1].to_owned(),
            tier: fields[3].to_owned(),
            note: fields.get(8).copied().unwrap_or_default().to_owned(),
        });
    }
    ensure!(!all.is_empty(), "the keyword table is empty");
    Ok(all)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    known: usize,
    /// Those of `known` that are accepted without effect.
    no_effect: usize,
    all: usize,
}

/// The comparison.
#[derive(Debug, Default)]
struct Coverage {
    /// By kind, then tier; `all` is every tier.
    counts: BTreeMap<String, BTreeMap<String, Count>>,
    /// By kind and tier, with why.
    missing: BTreeMap<(String, String), BTreeSet<String>>,
    out_of_scope: usize,
}

impl Coverage {
    fn of(theirs: &[Theirs], ours: &[Word]) -> Self {
        let mut known: HashMap<(&str, &str), Vec<&Word>> = HashMap::new();
        for word in ours {
            known
                .entry((word.kind.as_str(), word.name.as_str()))
                .or_default()
                .push(word);
        }
        let mut coverage = Self::default();
        for word in theirs {
            if !word.is_in_scope() {
                coverage.out_of_scope += 1;
                continue;
            }
            // The word that opens a section is listed among the section's own in the table.
            let opener = word.kind == word.name;
            let key = if opener {
                "section"
            } else {
                word.kind.as_str()
            };
            let mut entries: Vec<&Word> = Vec::new();
            if let Some(same) = known.get(&(key, word.name.as_str())) {
                entries.extend(same);
            } else if SPLIT.contains(&key) || word.name == "compression" {
                // `timeout` is `timeout resolve` and `timeout retry` here.
                let longer = format!("{} ", word.name);
                let parts = ours.iter().filter(|own| own.kind == key);
                entries.extend(parts.filter(|own| own.name.starts_with(&longer)));
            }
            let found = judge(word, &entries, opener);
            let mut tiers = vec!["all"];
            if !word.tier.is_empty() {
                tiers.push(&word.tier);
            }
            for tier in tiers {
                let counts = coverage.counts.entry(word.kind.clone()).or_default();
                let count = counts.entry(tier.to_owned()).or_default();
                count.all += 1;
                count.known += usize::from(found.is_ok());
                count.no_effect += usize::from(found == Ok(State::NoEffect));
            }
            if let Err(why) = found {
                let key = (word.kind.clone(), word.tier.clone());
                coverage
                    .missing
                    .entry(key)
                    .or_default()
                    .insert(format!("{}{why}", word.name));
            }
        }
        coverage
    }

    fn total(&self, tier: &str) -> Count {
        let counts = self.counts.values().filter_map(|tiers| tiers.get(tier));
        counts.fold(Count::default(), |sum, count| Count {
            known: sum.known + count.known,
            no_effect: sum.no_effect + count.no_effect,
            all: sum.all + count.all,
        })
    }

    /// The table, in Markdown.
    fn table(&self) -> String {
        let mut text =
            String::from("| kind | TOP | COMMON | all | without effect |\n|---|---|---|---|---|\n");
        let cell = |count: Option<&Count>| {
            count.map_or(String::new(), |count| {
                format!("{} of {}", count.known, count.all)
            })
        };
        for (kind, tiers) in &self.counts {
            let all = tiers.get("all").copied().unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {kind} | {} | {} | {} | {} |",
                cell(tiers.get("TOP")),
                cell(tiers.get("COMMON")),
                cell(Some(&all)),
                all.no_effect
            );
        }
        let (top, common, all) = (self.total("TOP"), self.total("COMMON"), self.total("all"));
        let _ = writeln!(
            text,
            "| **sum** | {} ({}) | {} ({}) | {} ({}) | {} |",
            cell(Some(&top)),
            percent(top),
            cell(Some(&common)),
            percent(common),
            cell(Some(&all)),
            percent(all),
            all.no_effect
        );
        text
    }

    fn missing(&self, everything: bool) -> String {
        let mut text = String::new();
        for ((kind, tier), names) in &self.missing {
            if !everything && tier.is_empty() {
                continue;
            }
            let tier = if tier.is_empty() { "other" } else { tier };
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let _ = writeln!(text, "missing, {tier}, {kind}: {}", names.join(", "));
        }
        text
    }

    fn page(&self) -> String {
        format!(
            "# How much of HAProxy's language there is\n\n\
             Written by `cargo xtask coverage --write`; do not edit. TOP and COMMON are the words that real configurations\n\
             use most. Left out are Lua, SPOE, FastCGI, QUIC and peers ({} words). A word counts when it works in every\n\
             place HAProxy allows it, or tunes something that does not exist here and is accepted without effect\n\
             (`tidegate -c -V` tells of each). What is refused does not count.\n\n{}\n## Missing\n\n```text\n{}```\n",
            self.out_of_scope,
            self.table(),
            self.missing(true)
        )
    }
}

/// Whether a word is there, or why it does not count.
fn judge(word: &Theirs, entries: &[&Word], opener: bool) -> Result<State, String> {
    if entries.is_empty() {
        return Err(String::new());
    }
    let accepted: Vec<&&Word> = entries
        .iter()
        .filter(|entry| entry.state != State::Refused)
        .collect();
    let Some(first) = accepted.first() else {
        return Err(" (refused)".to_owned());
    };
    let lacking: Vec<&str> = word
        .places()
        .into_iter()
        .filter(|place| {
            !opener
                && !accepted
                    .iter()
                    .any(|entry| entry.places.iter().any(|known| known == place))
        })
        .collect();
    if lacking.is_empty() {
        Ok(first.state)
    } else {
        Err(format!(" (not in {})", lacking.join(" ")))
    }
}

/// Cut, never rounded up.
fn percent(count: Count) -> String {
    let tenths = (count.known * 1000).checked_div(count.all).unwrap_or(1000);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// Sections whose keywords the table lists by their first word, as it does with `compression`.
const SPLIT: &[&str] = &["resolvers"];

/// Parts of names and kinds that are left out on purpose.
const OUT_OF_SCOPE: &[&str] = &["lua", "spoe", "spop", "fcgi", "quic", "peers"];

#[cfg(test)]
mod tests {
    use super::super::language::tests::word_of;
    use super::*;

    const TABLE: &str = "name\tkind\tsection\ttop150\ta\tb\tc\td\tnote\n\
        deny\taction\t4\tTOP\t0\t0\t0\t0\thttp-req http-res\n\
        mode\tproxy-directive\t4\tCOMMON\t0\t0\t0\t0\tXX--\n\
        lua-load\tglobal\t3\tTOP\t0\t0\t0\t0\t\n\
        busy-polling\tglobal\t3\t\t0\t0\t0\t0\t\n\
        nbproc\tglobal\t3\t\t0\t0\t0\t0\t\n\
        cache\tcache\t6\t\t0\t0\t0\t0\t\n";

    fn coverage(ours: &[Word]) -> Coverage {
        Coverage::of(&read(TABLE).expect("a table"), ours)
    }

    #[test]
    fn a_word_counts_only_where_it_works_in_every_place() {
        let half = coverage(&[word_of("action", "deny", "http-req", State::Works)]);
        assert_eq!(
            half.total("TOP"),
            Count {
                known: 0,
                no_effect: 0,
                all: 1
            }
        );
        assert!(half.missing(false).contains("deny (not in http-res)"));
        let whole = coverage(&[
            word_of("action", "deny", "http-req", State::Works),
            word_of("action", "deny", "http-res", State::Works),
        ]);
        assert_eq!(
            whole.total("TOP"),
            Count {
                known: 1,
                no_effect: 0,
                all: 1
            }
        );
    }

    #[test]
    fn what_is_refused_is_missing_and_a_no_op_is_counted_as_such() {
        let coverage = coverage(&[
            word_of("global", "nbproc", "", State::Refused),
            word_of("global", "busy-polling", "", State::NoEffect),
            word_of("section", "cache", "", State::Works),
        ]);
        assert!(coverage.missing(true).contains("nbproc (refused)"));
        assert_eq!(coverage.out_of_scope, 1);
        assert_eq!(
            coverage.total("all"),
            Count {
                known: 2,
                no_effect: 1,
                all: 5
            }
        );
        assert!(
            coverage.table().contains("| **sum** | 0 of 1 (0.0 %) |"),
            "{}",
            coverage.table()
        );
    }

    #[test]
    fn percentages_are_cut() {
        assert_eq!(
            percent(Count {
                known: 2,
                no_effect: 0,
                all: 3
            }),
            "66.6 %"
        );
        assert_eq!(
            percent(Count {
                known: 999,
                no_effect: 0,
                all: 1000
            }),
            "99.9 %"
        );
    }
}
