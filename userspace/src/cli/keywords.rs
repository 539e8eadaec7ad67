//! `-dK…`: the keywords this program knows, by class.
#![expect(clippy::print_stdout, reason = "the list belongs on the terminal")]

use crate::lang;

/// Prints the classes named, separated by commas; `all` is every class, `help` their list.
pub(super) fn dump(classes: &str) {
    let wanted: Vec<&str> = classes.split(',').collect();
    if wanted.contains(&"help") {
        println!("Available keyword classes: all,cfg");
        return;
    }
    if wanted.iter().any(|class| matches!(*class, "all" | "cfg")) {
        println!("# List of registered CFG keywords:");
        let mut section = "";
        for keyword in lang::keywords() {
            if keyword.section != section {
                section = keyword.section;
                println!("{section}");
            }
            let mark = if keyword.works {
                ""
            } else {
                " [not supported, or without effect]"
            };
            println!("\t{} {}{mark}", keyword.name, keyword.args);
        }
    }
}
