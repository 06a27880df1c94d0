//! Executes the command line of the program.

use crate::config::{self, ConfigSources, Flags, ManagerConfig};
use crate::config_verb::config_verb;
use crate::doctor::{CheckResult, DiagnosticsBundle, doctor};
use crate::failure::ProgramError;
use crate::init::init;
use crate::key_verb::{KeyChange, key_verb};
use crate::serve::{ServeOptions, serve};
use crate::store_adopt::{ConsentMode, store_adopt};
use crate::store_copy::store_copy;
use crate::stores::Stores;
use crate::token_verb::token_verb;
use longhaul_cli::{Cli, GlobalArgs, OutputFormat, ServeArgs, StoreVerb, Verb, clean_json};
use longhaul_client::{ManagerLocator, SOCKET, state_dir};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Function that executes a client command and returns the exit code.
pub(crate) type ClientProgram = fn(Cli, ManagerLocator) -> i32;

/// Parses and executes the arguments of the program. Returns the exit code of the program. `client` executes the client
/// commands; with `None`, the program refuses them.
pub(crate) fn run(stores: &Stores, client: Option<ClientProgram>) -> ExitCode {
    longhaul_cli::complete_if_asked(|| state_dir(None).ok().map(|state_dir| state_dir.join(SOCKET)));
    let cli = match longhaul_cli::parse() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let json = matches!(cli.global.format(), Some(OutputFormat::Json | OutputFormat::Ndjson));
    let autostarted = matches!(&cli.command, Verb::Serve(args) if args.autostarted);
    perform(cli, json, stores, client).unwrap_or_else(|failure| {
        if autostarted {
            failure.log();
        } else {
            failure.report(json);
        }
        failure.exit_code().into()
    })
}

fn perform(
    cli: Cli,
    json: bool,
    stores: &Stores,
    client: Option<ClientProgram>,
) -> Result<ExitCode, ProgramError> {
    let GlobalArgs { state_dir: flag, no_autostart, .. } = &cli.global;
    if let Verb::Init(args) = &cli.command {
        return print(&begun_project(args.force)?);
    }
    let state_dir = state_dir(flag.clone())?;
    match &cli.command {
        Verb::Serve(args) => {
            serve(&ServeOptions {
                flags: flags(args, &cli.global),
                log: args.log.clone(),
                autostarted: args.autostarted,
                verbosity: cli.global.verbose,
                stores: stores.clone(),
                state_dir,
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Config(args) => {
            let flags = flags(&ServeArgs::default(), &cli.global);
            print(&config_verb(&args.verb, &state_dir, flags, stores, json)?)
        }
        Verb::Store(args) => match &args.verb {
            StoreVerb::Copy { from, to } => {
                let settings = || settings(&state_dir, flags(&ServeArgs::default(), &cli.global), stores);
                print(&store_copy(&state_dir, from, to, settings, stores, json)?)
            }
            StoreVerb::Key { rotate, retire } => {
                let settings = settings(&state_dir, flags(&ServeArgs::default(), &cli.global), stores)?;
                let consent = ConsentMode::of(cli.global.yes, cli.global.no_input);
                print(&key_verb(&settings, KeyChange::of(*rotate, *retire), consent, json)?)
            }
            StoreVerb::Adopt { store } => {
                let flags = Flags { store: store.clone(), ..flags(&ServeArgs::default(), &cli.global) };
                let settings = settings(&state_dir, flags, stores)?;
                let consent = ConsentMode::of(cli.global.yes, cli.global.no_input);
                print(&store_adopt(&state_dir, &settings, stores, consent, json)?)
            }
        },
        Verb::Token(args) => print(&token_verb(&state_dir, args, json)?),
        Verb::Doctor(args) => {
            let flags = || flags(&ServeArgs::default(), &cli.global);
            let place = ManagerLocator::of(state_dir.clone(), None);
            let found = doctor(&state_dir, flags(), stores, &place, json)?;
            print(&found.text)?;
            if let Some(file) = &args.bundle {
                let layers = ConfigSources::of(&state_dir, flags()).read();
                let configuration = layers.ok().map(|layers| config::show(&layers, true));
                let written = DiagnosticsBundle { found: &found, configuration, place: &place }
                    .write(file.as_deref())?;
                // The path goes to stderr. Programs parse stdout, and they already have the path, because they passed
                // it.
                let _ = writeln!(io::stderr(), "wrote {}", written.display());
            }
            Ok(match found.health {
                CheckResult::Ok | CheckResult::Warning => ExitCode::SUCCESS,
                CheckResult::Problem => ExitCode::FAILURE,
            })
        }
        Verb::Init(_)
        | Verb::Artifacts(_)
        | Verb::Report(_)
        | Verb::RerunFailed(_)
        | Verb::Tests(_)
        | Verb::Run(_)
        | Verb::Task(_)
        | Verb::Runner(_)
        | Verb::Status(_)
        | Verb::Logs(_)
        | Verb::Mcp(_)
        | Verb::Wait(_)
        | Verb::Events(_)
        | Verb::Cancel(_)
        | Verb::Restart(_)
        | Verb::Retry(_)
        | Verb::Pause(_)
        | Verb::Resume(_)
        | Verb::Signal(_)
        | Verb::Inspect(_)
        | Verb::Progress(_)
        | Verb::Result(_)
        | Verb::Error(_)
        | Verb::Send(_)
        | Verb::Reset(_)
        | Verb::Prune(_)
        | Verb::Queue(_)
        | Verb::Node(_)
        | Verb::Session(_)
        | Verb::Stats(_)
        | Verb::Track(_)
        | Verb::Tree(_)
        | Verb::Why(_)
        | Verb::Completions(_)
        | Verb::Version
        | Verb::Explain(_) => {
            let client = client.ok_or(ProgramError::ClientCommand)?;
            let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("longhaul"));
            let place = ManagerLocator::of(state_dir, (!no_autostart).then_some(program));
            let code = client(cli, place);
            Ok(u8::try_from(code).unwrap_or(u8::MAX).into())
        }
    }
}

fn flags(args: &ServeArgs, global: &GlobalArgs) -> Flags {
    // The parser also sets this flag from the environment variable. A value from the environment is dropped, because
    // the configuration reads the variable itself and records the correct origin.
    let from_environment = std::env::var_os("LONGHAUL_STATE_DIR").map(PathBuf::from);
    Flags {
        store: args.store.clone(),
        node_id: args.node_id.clone(),
        max_parallel: args.max_parallel,
        stop_processes: args.stop_processes,
        state_dir: global.state_dir.clone().filter(|flag| Some(flag) != from_environment.as_ref()),
        listen: args.listen.clone(),
        allow_remote: args.allow_remote,
        insecure_behind_proxy: args.insecure_behind_proxy,
        tls_cert: args.tls_cert.as_deref().map(absolute),
        tls_key: args.tls_key.as_deref().map(absolute),
    }
}

fn settings(state_dir: &Path, flags: Flags, stores: &Stores) -> Result<ManagerConfig, ProgramError> {
    Ok(ManagerConfig::knowing(&ConfigSources::of(state_dir, flags).read()?, state_dir, stores)?)
}

/// Makes a path absolute. Relative paths in flags start at the working directory of the command.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn begun_project(force: bool) -> Result<String, ProgramError> {
    let path = init(Path::new("."), force)?;
    let path = std::path::absolute(&path).unwrap_or(path);
    Ok(format!("{}\n", path.display()))
}

fn print(text: &str) -> Result<ExitCode, ProgramError> {
    match io::stdout().write_all(clean_json(text).as_bytes()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(ProgramError::Output { source }),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}
