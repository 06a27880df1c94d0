//! Executes a subcommand and determines the exit code.

use crate::arguments::{Cli, GlobalArgs, Verb};
use crate::completion;
use crate::console::{self, Console};
use crate::exit_code::{self, ExitCodeMode};
use crate::failure::CliError;
use crate::request::CallerContext;
use crate::verb;
use longhaul_client::ManagerLocator;
use longhaul_client::{Client, ClientError, RequestPath};
use longhaul_wire::api::{Problem, ProcessList, ProcessView, StatsView, VersionReply};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Time limit of a request for the manager's version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit of a request that makes the manager read all its records.
const COUNTING: Duration = Duration::from_secs(10);

/// Error code in the manager's response to a request with an unknown process id.
const NOT_FOUND_CODE: &str = "process_not_found";
/// Number of records that [`manager_records`] requests.
const NEWEST_RECORDS: &str = "200";
/// Maximum number of records on one page of a manager's response.
const MAX_PAGE: &str = "1000";

/// Objects and settings that every subcommand needs.
pub(crate) struct VerbContext {
    pub(crate) client: Client,
    pub(crate) console: Console,
    pub(crate) global: GlobalArgs,
    pub(crate) around: CallerContext,
}

/// Executes a command line and returns the exit code.
///
/// This function refuses `serve`, `token`, `init`, `store`, `config` and `doctor`, because the program `longhauld`
/// executes these commands.
#[must_use]
pub fn run(cli: Cli, place: ManagerLocator) -> i32 {
    let Cli { global, command } = cli;
    let around = CallerContext::here();
    let place = settled(place, &global, &around);
    let seen = place.without_autostart();
    let console = Console::new(&global);
    let client = Client::new(place);
    let client = if console.is_spoken() { client.with_explanations(console::say_now) } else { client };
    let context = VerbContext { client, console, global, around };
    if let Verb::Completions(args) = &command {
        return finish(&context, completion::script(&context.console, args), ExitCodeMode::Control);
    }
    if let Verb::Explain(args) = &command {
        return finish(&context, verb::explain(&context.console, args), ExitCodeMode::Control);
    }
    match runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(async {
                if matches!(command, Verb::Version) {
                    return finish(&context, verb::version(&context, &seen).await, ExitCodeMode::Control);
                }
                print_store_mismatch(&context, &command, &seen).await;
                perform(&context, command).await
            });
            // Unlike dropping the runtime, `shutdown_background` does not wait for a write that blocks because no
            // program reads the output.
            runtime.shutdown_background();
            code
        }
        Err(failure) => finish(&context, Err(failure), ExitCodeMode::Control),
    }
}

/// Returns the version of the running manager. Returns `None` if no manager is running. This function never starts a
/// manager.
///
/// # Errors
/// Fails if the caller may not use the socket, or if the program at the socket is not a compatible manager.
pub fn manager_version(place: &ManagerLocator) -> Result<Option<VersionReply>, Box<Problem>> {
    match block_on(version_of(place)) {
        Ok(version) => Ok(Some(version)),
        Err(CliError::Client(ClientError::Down { .. })) => Ok(None),
        Err(failure) => Err(Box::new(failure.into_problem())),
    }
}

pub(crate) async fn version_of(place: &ManagerLocator) -> Result<VersionReply, CliError> {
    let client = Client::new(place.without_autostart()).with_time_limit(VERSION_TIMEOUT);
    Ok(client.version().await?)
}

/// Prints a warning if the running manager uses a store other than the currently configured one. A manager reads the
/// configuration only when it starts, so commands would act on the wrong store. `mcp` prints no warning, because agents
/// query the version themselves.
async fn print_store_mismatch(context: &VerbContext, command: &Verb, place: &ManagerLocator) {
    let Some(named) = place.store.as_ref().filter(|_| !matches!(command, Verb::Mcp(_) | Verb::Runner(_)))
    else {
        return;
    };
    // Ignore a failure of this request, because the subcommand then fails in the same way and reports the failure.
    let Ok(manager) = version_of(place).await else { return };
    if manager.store != *named {
        context.console.say(&format!(
            "warning: the manager uses the store {}, but the configuration names {named}\n  help: end that manager with `kill {}`; its \
             processes keep running, and the next command starts another manager",
            manager.store, manager.pid
        ));
    }
}

/// Returns statistics about all records of the running manager. Returns `None` if no manager is running. This function
/// never starts a manager.
///
/// # Errors
/// Fails if the caller may not use the socket, or if the program at the socket is not a compatible manager.
pub fn manager_stats(place: &ManagerLocator) -> Result<Option<StatsView>, Box<Problem>> {
    let client = Client::new(place.without_autostart()).with_time_limit(COUNTING);
    match block_on(async { client.fetch(&RequestPath::stats()).await }) {
        Ok(stats) => Ok(Some(stats)),
        Err(CliError::Client(ClientError::Down { .. })) => Ok(None),
        Err(failure) => Err(Box::new(failure.into_problem())),
    }
}

/// Returns the newest records of the running manager. Returns `None` if no manager is running. This function never
/// starts a manager.
///
/// # Errors
/// Fails if the caller may not use the socket, or if the program at the socket is not a compatible manager.
pub fn manager_records(place: &ManagerLocator) -> Result<Option<Vec<ProcessView>>, Box<Problem>> {
    let client = Client::new(place.without_autostart()).with_time_limit(VERSION_TIMEOUT);
    let path = RequestPath::processes().with("all", "true").with("limit", NEWEST_RECORDS);
    let answer: Result<ProcessList, CliError> = block_on(async { client.fetch(&path).await });
    match answer {
        Ok(list) => Ok(Some(list.processes)),
        Err(CliError::Client(ClientError::Down { .. })) => Ok(None),
        Err(failure) => Err(Box::new(failure.into_problem())),
    }
}

/// Returns those of the given process ids that are not live in the running manager. Returns `None` if no manager is
/// running. This function never starts a manager.
///
/// # Errors
/// Fails if the caller may not use the socket, or if the program at the socket is not a compatible manager.
pub fn manager_lacks(place: &ManagerLocator, ids: &[String]) -> Result<Option<Vec<String>>, Box<Problem>> {
    let client = Client::new(place.without_autostart()).with_time_limit(COUNTING);
    let asked = async {
        let live = live_ids(&client).await?;
        let mut lacking = Vec::new();
        for id in ids.iter().filter(|id| !live.contains(*id)) {
            let found = client.process(id).await;
            match found {
                // The process is live although the list of live ids lacks it. Either the process was created after the
                // list was read, or a hook started it: the list does not contain such processes.
                Ok(process) if process.completed_at.is_none() => {}
                Ok(process) if process.conditions.iter().any(|condition| condition == "orphaned") => {}
                Ok(_) => lacking.push(id.clone()),
                Err(ClientError::Problem { problem }) if problem.slug == NOT_FOUND_CODE => {
                    lacking.push(id.clone())
                }
                Err(failure) => return Err(CliError::from(failure)),
            }
        }
        Ok(lacking)
    };
    match block_on(asked) {
        Ok(lacking) => Ok(Some(lacking)),
        Err(CliError::Client(ClientError::Down { .. })) => Ok(None),
        Err(failure) => Err(Box::new(failure.into_problem())),
    }
}

/// Returns the ids of the processes that have not ended.
async fn live_ids(client: &Client) -> Result<BTreeSet<String>, CliError> {
    let path = RequestPath::processes().with("live", "true").with("limit", MAX_PAGE);
    let mut page: ProcessList = client.fetch(&path).await?;
    let mut ids = BTreeSet::new();
    loop {
        ids.extend(page.processes.into_iter().map(|process| process.id));
        let Some(cursor) = page.cursor else { return Ok(ids) };
        page = client.fetch(&path.clone().with("cursor", &cursor)).await?;
    }
}

/// Runs requests in a new runtime until they are complete.
fn block_on<T, E: Into<CliError>>(requests: impl Future<Output = Result<T, E>>) -> Result<T, CliError> {
    runtime()?.block_on(requests).map_err(Into::into)
}

/// Creates the single-threaded runtime that a client needs.
pub(crate) fn runtime() -> Result<Runtime, CliError> {
    Builder::new_current_thread().enable_all().build().map_err(|source| CliError::Unfinished {
        what: "the program cannot be started".to_owned(),
        why: Some(source.to_string()),
        help: "check the limits on open files and processes".to_owned(),
    })
}

async fn perform(context: &VerbContext, command: Verb) -> i32 {
    let (outcome, regime) = outcome_of(context, &command).await;
    finish(context, outcome, regime)
}

/// Executes a client subcommand. Returns its outcome, and the mode in which the outcome becomes an exit code.
///
/// The futures of the largest subcommands are boxed, because the future of this function would otherwise overflow the
/// stack of a test thread.
pub(crate) async fn outcome_of(
    context: &VerbContext,
    command: &Verb,
) -> (Result<i32, CliError>, ExitCodeMode) {
    match command {
        Verb::Run(args) if args.background || args.dry_run => {
            (Box::pin(verb::run(context, args)).await, ExitCodeMode::Control)
        }
        Verb::Run(args) => (Box::pin(verb::run(context, args)).await, ExitCodeMode::PassThrough),
        Verb::Task(args) if args.background || args.dry_run => {
            (Box::pin(verb::task(context, args)).await, ExitCodeMode::Control)
        }
        Verb::Task(args) => (Box::pin(verb::task(context, args)).await, ExitCodeMode::PassThrough),
        Verb::Runner(args) => (Box::pin(verb::runner(context, args)).await, ExitCodeMode::PassThrough),
        Verb::Status(args) if args.watch => {
            (or_ctrl_c(verb::status(context, args)).await, ExitCodeMode::Control)
        }
        Verb::Status(args) => (Box::pin(verb::status(context, args)).await, ExitCodeMode::Control),
        Verb::Logs(args) => (
            or_ctrl_c(verb::logs(context, args)).await,
            if args.exit_status { ExitCodeMode::PassThrough } else { ExitCodeMode::Control },
        ),
        Verb::Wait(args) => (or_ctrl_c(verb::wait(context, args)).await, ExitCodeMode::PassThrough),
        Verb::Send(args) => (or_ctrl_c(verb::send(context, args)).await, ExitCodeMode::Control),
        Verb::Events(args) => (or_ctrl_c(verb::events(context, args)).await, ExitCodeMode::Control),
        Verb::Cancel(args) => (verb::cancel(context, args).await, ExitCodeMode::Control),
        Verb::Restart(args) => (Box::pin(verb::restart(context, args)).await, ExitCodeMode::Control),
        Verb::Retry(args) => (verb::retry(context, args).await, ExitCodeMode::Control),
        Verb::Pause(args) => (verb::pause(context, args).await, ExitCodeMode::Control),
        Verb::Resume(args) => (verb::resume(context, args).await, ExitCodeMode::Control),
        Verb::Signal(args) => (verb::signal(context, args).await, ExitCodeMode::Control),
        Verb::Tree(args) => (verb::tree(context, args).await, ExitCodeMode::Control),
        Verb::Artifacts(args) => (or_ctrl_c(verb::artifacts(context, args)).await, ExitCodeMode::Control),
        Verb::Tests(args) => (or_ctrl_c(verb::test_run(context, args)).await, ExitCodeMode::Control),
        Verb::RerunFailed(args) => (
            Box::pin(verb::rerun_failed(context, args)).await,
            if args.background || args.dry_run { ExitCodeMode::Control } else { ExitCodeMode::PassThrough },
        ),
        Verb::Report(args) => (Box::pin(verb::report(context, args)).await, ExitCodeMode::Control),
        Verb::Why(args) => (verb::why(context, args).await, ExitCodeMode::Control),
        Verb::Queue(args) => (verb::queue(context, args).await, ExitCodeMode::Control),
        Verb::Node(args) => (verb::node(context, args).await, ExitCodeMode::Control),
        Verb::Session(args) => (verb::session(context, args).await, ExitCodeMode::Control),
        Verb::Track(args) => (verb::track(context, args).await, ExitCodeMode::Control),
        Verb::Stats(args) => (verb::stats(context, args).await, ExitCodeMode::Control),
        Verb::Prune(args) => (verb::prune(context, args).await, ExitCodeMode::Control),
        Verb::Reset(args) => (verb::reset(context, args).await, ExitCodeMode::Control),
        Verb::Inspect(args) => (verb::inspect(context, args).await, ExitCodeMode::Control),
        Verb::Progress(args) => (verb::progress(context, args).await, ExitCodeMode::Control),
        Verb::Result(args) => (verb::result(context, args).await, ExitCodeMode::Control),
        Verb::Error(args) => (verb::error(context, args).await, ExitCodeMode::Control),
        Verb::Mcp(args) => (Box::pin(verb::mcp(context, args)).await, ExitCodeMode::Control),
        Verb::Serve(_)
        | Verb::Token(_)
        | Verb::Init(_)
        | Verb::Store(_)
        | Verb::Config(_)
        | Verb::Doctor(_)
        | Verb::Version
        | Verb::Completions(_)
        | Verb::Explain(_) => {
            let failure = CliError::Usage {
                what: "a client cannot execute this command".to_owned(),
                why: None,
                help: "longhaul --help".to_owned(),
            };
            (Err(failure), ExitCodeMode::Control)
        }
    }
}

async fn or_ctrl_c(work: impl Future<Output = Result<i32, CliError>>) -> Result<i32, CliError> {
    tokio::select! {
        outcome = work => outcome,
        Ok(()) = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
    }
}

fn finish(context: &VerbContext, outcome: Result<i32, CliError>, regime: ExitCodeMode) -> i32 {
    match outcome {
        Ok(code) => code,
        // The reader, for example `head`, closed the output because it needs no more data. This counts as success.
        Err(failure) if failure.is_closed_output() && regime == ExitCodeMode::Control => exit_code::DONE,
        Err(failure) => {
            let code = exit_code::of_failure(&failure, regime);
            context.console.complain(failure);
            code
        }
    }
}

/// Returns the location of the manager to use. Inside a process, this is the manager that runs the process, unless the
/// command line names a state directory.
fn settled(place: ManagerLocator, global: &GlobalArgs, around: &CallerContext) -> ManagerLocator {
    let own = around.variable("LONGHAUL_SOCKET").map(PathBuf::from);
    match own {
        Some(socket) if global.state_dir.is_none() && socket != place.socket => ManagerLocator {
            state_dir: socket.parent().unwrap_or(&place.state_dir).to_owned(),
            socket,
            autostart: None,
            store: None,
        },
        _ => ManagerLocator { autostart: place.autostart.filter(|_| !global.no_autostart), ..place },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_talks_to_the_manager_that_runs_it() {
        let inside =
            CallerContext::of(std::path::Path::new("/"), &[("LONGHAUL_SOCKET", "/other/longhaul.sock")]);
        let settled_place = settled(place(), &GlobalArgs::default(), &inside);
        assert_eq!(settled_place.socket, PathBuf::from("/other/longhaul.sock"));
        assert_eq!(settled_place.state_dir, PathBuf::from("/other"));
        assert!(settled_place.autostart.is_none() && settled_place.store.is_none());
    }

    #[test]
    fn named_state_directory_wins_over_the_own_manager() {
        let inside =
            CallerContext::of(std::path::Path::new("/"), &[("LONGHAUL_SOCKET", "/other/longhaul.sock")]);
        let global = GlobalArgs { state_dir: Some("/s".into()), ..GlobalArgs::default() };
        let settled_place = settled(place(), &global, &inside);
        assert_eq!(settled_place.socket, PathBuf::from("/s/longhaul.sock"));
        assert!(settled_place.autostart.is_some());
    }

    #[test]
    fn no_autostart_means_none() {
        let global = GlobalArgs { no_autostart: true, ..GlobalArgs::default() };
        let outside = CallerContext::of(std::path::Path::new("/"), &[]);
        assert!(settled(place(), &global, &outside).autostart.is_none());
    }

    #[test]
    fn version_of_an_absent_manager_is_none_and_starts_nothing() {
        let top = tempfile::tempdir().unwrap();
        let place = ManagerLocator {
            socket: top.path().join("longhaul.sock"),
            state_dir: top.path().to_owned(),
            autostart: Some(Box::new(|| panic!("it was started"))),
            store: None,
        };
        assert_eq!(manager_version(&place), Ok(None));
    }

    #[test]
    fn another_program_at_the_socket_is_reported() {
        let other = "HTTP/1.1 200 OK\r\nlonghaul-protocol: 99\r\nlonghaul-version: 9.9.9\r\ncontent-length: 2\r\n\r\n{}";
        let foreign = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        for (answer, slug, words) in [
            (other, "protocol_mismatch", "99"),
            (foreign, "not_a_manager", "not a longhaul manager"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "not_a_manager", "not a longhaul manager"),
        ] {
            let top = tempfile::tempdir().unwrap();
            let socket = top.path().join("longhaul.sock");
            let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            let other_end = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _request = std::io::Read::read(&mut stream, &mut [0; 1024]).unwrap();
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            });
            let place =
                ManagerLocator { socket, state_dir: top.path().to_owned(), autostart: None, store: None };
            let problem = manager_version(&place).unwrap_err();
            assert!(problem.slug == slug && problem.title.contains(words), "{answer}: {problem:?}");
            other_end.join().unwrap();
        }
    }

    fn place() -> ManagerLocator {
        ManagerLocator {
            socket: "/s/longhaul.sock".into(),
            state_dir: "/s".into(),
            autostart: Some(Box::new(|| Ok(()))),
            store: Some("sqlite:/s".to_owned()),
        }
    }
}
