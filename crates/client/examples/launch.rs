//! Launches a command with the client of longhaul, waits for the end of the command and prints its ending.
//!
//! Run the example with `cargo run -p longhaul-client --example launch -- sleep 1`. The program `longhauld` must be in
//! `PATH`.

use longhaul_client::{Client, ManagerLocator, state_dir};
use longhaul_wire::api::{CommandRequest, EnvironmentRequest, LaunchRequest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(ManagerLocator::of(state_dir(None)?, Some("longhauld".into())));
    let mut words = std::env::args().skip(1);
    let command = CommandRequest {
        program: words.next().ok_or("give a command to launch")?,
        args: words.collect(),
        directory: std::env::current_dir()?.display().to_string(),
        environment: EnvironmentRequest { captured: Some(std::env::vars().collect()), ..Default::default() },
        ..Default::default()
    };
    let launched = client.launch(&LaunchRequest { command: Some(command), ..Default::default() }).await?;
    let ended = client.wait(&launched.process.id).await?;
    eprintln!("{}: {} with exit code {:?}", ended.id, ended.status, ended.exit_code);
    Ok(())
}
