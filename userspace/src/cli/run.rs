//! From the words of the command line to an exit code.
//!
//! Reads the configuration and shows what there is to tell about it, then checks, explains, asks a running process or
//! serves. Exit codes are HAProxy's: 0 for success, 1 for an error, 2 for a condition that cannot be evaluated.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the part that talks to the terminal"
)]

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::{
    CommandLineError, Flags, Invocation, Subcommand, VERSION, banner, build_description, usage,
};
use crate::dataplane::{explain, offload};
use crate::lang::source::Sources;
use crate::lang::{self, Abilities, Foundry, Loaded, Machine, Settings, Severity, Style};
use crate::log::notice;
use crate::model::{Model, StatsSocket};
use crate::supervisor::master::{self, Mastery};
use crate::supervisor::{self, Employment, Resignation, Start};
use crate::tls::Contexts;

/// Does what the command line says.
pub fn run(words: &[String]) -> ExitCode {
    let program = program(words);
    match super::parse(words) {
        Ok(Invocation::Proxy(flags)) => proxy(&program, &flags, words),
        Ok(Invocation::Subcommand(subcommand)) => extra(&program, subcommand),
        Err(CommandLineError::Subcommand(error)) => {
            // clap sends help and version to stdout, errors to stderr.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
        Err(CommandLineError::Flags(error)) => {
            notice::alert(&error);
            eprint!("{}", usage(&program));
            ExitCode::FAILURE
        }
    }
}

fn proxy(program: &str, flags: &Flags, words: &[String]) -> ExitCode {
    if flags.version > 0 {
        println!("{}", banner(program));
        if flags.version > 1 {
            print!("{}", build_description());
        }
        return ExitCode::SUCCESS;
    }
    if let Some(condition) = &flags.condition {
        return evaluate(condition);
    }
    if let Some(classes) = &flags.dump_keywords {
        write_out(&super::keywords::dump(classes));
        if flags.files.is_empty() {
            return ExitCode::SUCCESS;
        }
    }
    if flags.help || flags.files.is_empty() {
        print!("{}\n{}", banner(program), usage(program));
        return if flags.help {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let employment = Employment::find();
    if let Some(directory) = &flags.directory
        // A worker starts where its master is.
        && employment.is_none()
        && let Err(error) = rustix::process::chdir(directory)
    {
        notice::alert(format_args!(
            "cannot change to directory {}: {error}",
            directory.display()
        ));
        return ExitCode::FAILURE;
    }
    notice::set_quiet(flags.quiet);
    let told = employment
        .as_ref()
        .is_some_and(|employment| employment.told);
    let Some((model, tls, foundry)) = configuration(flags, told) else {
        employment.inspect(Employment::failed);
        return ExitCode::FAILURE;
    };
    if flags.check {
        // As HAProxy: nothing is wrong, but there is nothing to start.
        return match listens(&model) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(2),
        };
    }
    if (flags.master || model.global.master_worker) && employment.is_none() {
        return match master_sockets(flags) {
            Some(sockets) => master::run(Mastery {
                words: words.to_vec(),
                version: VERSION,
                daemon: (flags.daemon || model.global.daemon) && !flags.foreground && !flags.debug,
                notify: flags.notify,
                pidfile: flags.pidfile.clone().or(model.global.pidfile),
                sockets,
                finish: flags.finish.clone(),
                terminate: flags.terminate.clone(),
            }),
            None => ExitCode::FAILURE,
        };
    }
    let start = Start {
        program: program.to_owned(),
        daemon: flags.daemon,
        foreground: flags.foreground || flags.debug,
        pidfile: flags.pidfile.clone(),
        memory: flags.memory,
        finish: flags.finish.clone(),
        terminate: flags.terminate.clone(),
        transfer: flags.transfer.clone(),
    };
    let (failed, employment) = employment.map_or((None, None), Employment::with_notice);
    match supervisor::serve(model, tls, foundry, &start, employment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notice::alert(format_args!("[{program}.main()] {error}"));
            failed.inspect(Resignation::send);
            ExitCode::FAILURE
        }
    }
}

fn extra(program: &str, subcommand: Subcommand) -> ExitCode {
    match subcommand {
        Subcommand::Check(files) => {
            let flags = Flags {
                files: files.files,
                check: true,
                verbose: true,
                ..Flags::default()
            };
            let code = proxy(program, &flags, &[]);
            give_hints(&flags);
            code
        }
        Subcommand::Explain { files, json } => explain_rules(files.files, json),
        Subcommand::Decap {
            interface,
            mode,
            port,
            address,
        } => super::decap::run(&interface, mode, port, &address),
        Subcommand::Capture(wanted) => super::capture::run(&wanted),
        Subcommand::Top(wanted) => super::top::run(&wanted),
        Subcommand::Convert { from: _, file } => convert(&file),
        Subcommand::Keywords => {
            write_out(&super::keywords::list());
            ExitCode::SUCCESS
        }
        Subcommand::Man { section } => {
            let page = if section == "5" {
                super::man::language()
            } else {
                super::man::program()
            };
            write_out(&page);
            ExitCode::SUCCESS
        }
        Subcommand::Completions { shell } => {
            write_out(&super::completions::script(shell));
            ExitCode::SUCCESS
        }
        Subcommand::Ctl { socket, command } => super::ctl::ask(&socket, &command.join(" ")),
    }
}

fn convert(file: &std::path::Path) -> ExitCode {
    let converted = std::fs::read_to_string(file)
        .map_err(|error| error.to_string())
        .and_then(|text| super::convert::from_vcl(&text));
    match converted {
        Ok(text) => {
            write_out(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            notice::alert(format_args!("{}: {error}", file.display()));
            ExitCode::FAILURE
        }
    }
}

/// What is odd although nothing is wrong: only asked for by name, since `-dW` refuses every warning.
fn give_hints(flags: &Flags) {
    if let Some(model) = load(&flags.files, flags).model {
        for hint in lang::hints(&model) {
            println!("hint: {}: {}", hint.place, hint.message);
        }
    }
}

/// Writes a long text; whoever stops reading has seen enough.
fn write_out(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Reads the configuration and shows everything there is to tell about it; `None` when it cannot be used.
fn configuration(flags: &Flags, told: bool) -> Option<(Model, Contexts, Foundry)> {
    let mut loaded = load(&flags.files, flags);
    if !flags.quiet && !told {
        show(&loaded, flags.diagnostics);
    }
    let mut model = loaded.model.take().filter(is_possible)?;
    let tls = certificates(&model)?;
    let warned = loaded.diagnostics.count(Severity::Warning) > 0 || !tls.warnings.is_empty();
    if warned && (flags.zero_warning || model.global.zero_warning) {
        notice::alert("Some warnings were found and 'zero-warning' is set. Aborting.");
        return None;
    }
    if flags.check && flags.verbose {
        for statement in &loaded.without_effect {
            println!(
                "{}: '{}' has no effect here: {}",
                statement.place, statement.keyword, statement.reason
            );
        }
    }
    if flags.check && !flags.quiet {
        if warned {
            println!("Warnings were found.");
        }
        if !listens(&model) {
            println!(
                "Configuration file has no error but will not start (no listener) => exit(2)."
            );
        } else if flags.verbose || warned {
            println!("Configuration file is valid");
        }
    }
    if flags.check && flags.verbose {
        let compiled = offload::compile(&model);
        for hint in explain::hints(&compiled) {
            println!("Hint: {hint}.");
        }
        print!("{}", explain::summary(&compiled));
    }
    overrule(&mut model, flags);
    Some((model, tls, loaded.foundry?))
}

/// Whether any proxy listens anywhere.
fn listens(model: &Model) -> bool {
    let mut proxies = model.proxies.iter();
    proxies.any(|proxy| !proxy.disabled && !proxy.binds.is_empty())
}

/// The sockets of the master CLI: `-S` takes what a `stats socket` line takes, with commas for spaces.
fn master_sockets(flags: &Flags) -> Option<Vec<StatsSocket>> {
    let Some(socket) = &flags.master_socket else {
        return Some(Vec::new());
    };
    let (address, options) = socket.split_once(',').unwrap_or((socket, ""));
    let options = options.replace(',', " ");
    let mut sources = Sources::default();
    let text = format!("global\n stats socket {address} level admin {options}\n");
    sources.add("command line", text);
    let settings = Settings {
        abilities: Abilities::OURS,
        local_peer: None,
    };
    let loaded = lang::load_sources(sources, &Machine::default(), &settings);
    show(&loaded, false);
    loaded.model.map(|model| model.global.stats_sockets)
}

/// Loads what TLS needs and tells what is wrong with it.
fn certificates(model: &Model) -> Option<Contexts> {
    match Contexts::load(model) {
        Ok(contexts) => {
            for warning in &contexts.warnings {
                notice::warning(format_args!("config : {warning}"));
            }
            Some(contexts)
        }
        Err(problems) => {
            for problem in &problems {
                notice::alert(format_args!("config : {problem}"));
            }
            notice::alert("config : Fatal errors found in configuration.");
            None
        }
    }
}

fn load(files: &[PathBuf], flags: &Flags) -> Loaded {
    let machine = Machine {
        ignore_resolution: flags.ignore_resolution,
    };
    let settings = Settings {
        abilities: Abilities::OURS,
        local_peer: flags.localpeer.clone(),
    };
    lang::load(files, &machine, &settings)
}

fn show(loaded: &Loaded, diagnostic_mode: bool) {
    let stderr = std::io::stderr();
    let color =
        stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = Style {
        pid: std::process::id(),
        color,
        diagnostic_mode,
    };
    let text = loaded.diagnostics.render(&loaded.sources, style);
    notice::keep(&text);
    // A closed standard error leaves nobody to tell.
    let _ = stderr.lock().write_all(text.as_bytes());
}

/// What the command line says takes precedence over the files.
fn overrule(model: &mut Model, flags: &Flags) {
    if let Some(maxconn) = flags.maxconn {
        model.global.maxconn = Some(maxconn);
    }
    if let Some(maxconn) = flags.proxy_maxconn {
        for proxy in &mut model.proxies {
            proxy.maxconn.get_or_insert(maxconn);
        }
    }
}

fn evaluate(condition: &str) -> ExitCode {
    match lang::check_condition(condition, &Machine::default(), &Abilities::OURS) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            notice::alert(format_args!("condition '{condition}': {message}"));
            ExitCode::from(2)
        }
    }
}

fn explain_rules(files: Vec<PathBuf>, json: bool) -> ExitCode {
    let flags = Flags {
        files,
        ..Flags::default()
    };
    let Some((model, ..)) = configuration(&flags, false) else {
        return ExitCode::FAILURE;
    };
    let compiled = offload::compile(&model);
    print!(
        "{}",
        if json {
            explain::json(&compiled)
        } else {
            explain::text(&compiled)
        }
    );
    ExitCode::SUCCESS
}

/// Whether the kernel tier can do what the file asks of it; says what it cannot.
fn is_possible(model: &Model) -> bool {
    let compiled = offload::compile(model);
    for refusal in &compiled.refusals {
        notice::alert(format_args!(
            "config : parsing [{}] : {}",
            refusal.place, refusal.message
        ));
    }
    compiled.refusals.is_empty()
}

/// The name the program was called by: `haproxy` behind a link of that name.
fn program(words: &[String]) -> String {
    let path = words.first().map_or("tidegate", String::as_str);
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
