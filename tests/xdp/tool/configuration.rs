//! From a configuration's text to what the program is given.

use std::sync::Arc;

use tidegate::dataplane::offload::{Compiled, compile};
use tidegate::lang::source::Sources;
use tidegate::lang::{Machine, Settings, load_sources};
use tidegate::state::Running;

/// Reads the sections behind `global` and `defaults`. Timeouts are long: no flow ends by itself.
pub(crate) fn load(sections: &str) -> (Compiled, Running) {
    let text = format!(
        "global\n    xdp interface lo\n    xdp flows 2048\n    xdp sources 1024\n    xdp syn-rate 0\n\
         defaults\n    timeout connect 1h\n    timeout client 1h\n    timeout server 1h\n{sections}"
    );
    let mut sources = Sources::default();
    sources.add("configuration", text);
    let loaded = load_sources(sources, &Machine::default(), &Settings::default());
    let model = loaded
        .model
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let compiled = compile(&model);
    assert_eq!(compiled.refusals, []);
    (compiled, Running::new(Arc::new(model), None))
}
