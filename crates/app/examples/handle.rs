//! Opens a complete longhaul in a program, according to its configuration, and finds the open longhaul again from
//! another place in the program.
//!
//! Run the example with `cargo run -p longhaul --example handle`.

use longhaul::Longhaul;
use longhaul_domain::{CommandSpec, Spec, Work};
use longhaul_engine::{Launch, Launcher, Shutdown};
use std::error::Error;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    // Each command runs under its own shim. The shim is a second start of this program: in the shim, this call does not
    // return.
    longhaul_shim::run_if_asked();
    tokio::runtime::Runtime::new()?.block_on(handle())
}

async fn handle() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let longhaul = Longhaul::builder().state_dir(dir.path()).open().await?;
    elsewhere(dir.path()).await?;
    longhaul.shut_down(Shutdown::StopAll).await?;
    Ok(())
}

/// Uses the open longhaul from another place in the program, which has only the path of the state directory.
async fn elsewhere(dir: &Path) -> Result<(), Box<dyn Error>> {
    let longhaul = Longhaul::at(dir).ok_or("this program has not opened it")?;
    let engine = longhaul.engine();
    let command = Box::new(CommandSpec::of("sh", &["-c", "exit 3"], "/"));
    let captured = Some(std::env::vars().collect());
    let launch = Launch {
        spec: Spec::of(Work::Command(command)),
        parent: None,
        launcher: Launcher::Parent,
        captured,
        no_queue: false,
    };
    let (sender, ends) = std::sync::mpsc::channel();
    let mut callbacks = engine.on_start_and_end(
        |started| drop(writeln!(std::io::stdout(), "attempt {} has started", started.process.attempt)),
        move |ended| sender.send(ended.process.status()).unwrap_or_default(),
    );
    callbacks.listening().await;
    engine.launch(launch).await?;
    // The callbacks run on a separate thread until the guard `callbacks` is dropped.
    let status = tokio::task::spawn_blocking(move || ends.recv()).await??;
    writeln!(std::io::stdout(), "it is {status}")?;
    Ok(())
}
