//! Implements `artifacts`.

use super::{complained, first_failed};
use crate::arguments::{ArtifactsArgs, OutputFormat};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{self, RenderTime, TableFormat, artifact_notes, bytes};
use longhaul_client::RequestPath;
use longhaul_view::clean_label;
use longhaul_wire::api::ArtifactsView;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Component, Path};

/// Lists the artifacts of a process, or copies them.
pub(crate) async fn artifacts(context: &VerbContext, args: &ArtifactsArgs) -> Result<i32, CliError> {
    match (&args.get, &args.to) {
        (Some(path), None) => print_one(context, args, path).await,
        (Some(path), Some(file)) => {
            let written = write_one(context, args, path, file).await?;
            context.console.say(&format!("wrote {} to {}", bytes(written), file.display()));
            Ok(DONE)
        }
        (None, Some(directory)) => write_all(context, args, directory).await,
        (None, None) => list(context, args).await,
    }
}

async fn list(context: &VerbContext, args: &ArtifactsArgs) -> Result<i32, CliError> {
    let view = fetch(context, args).await?;
    let console = &context.console;
    match console.format {
        Some(OutputFormat::Json) => console.print_json(&view)?,
        Some(OutputFormat::Ndjson) => view.files.iter().try_for_each(|file| console.print_json(file))?,
        Some(OutputFormat::Name) => {
            let paths = view.files.iter().map(|file| format!("{}\n", clean_label(&file.path)));
            console.print(&paths.collect::<String>())?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            if !view.files.is_empty() {
                let now = RenderTime::here(console.utc);
                console.print(&render::artifacts(&view, TableFormat::of(console), now))?;
            }
            for note in artifact_notes(&view) {
                console.say(&note);
            }
        }
    }
    Ok(DONE)
}

async fn fetch(context: &VerbContext, args: &ArtifactsArgs) -> Result<ArtifactsView, CliError> {
    let path = RequestPath::process_part(&args.id, "artifacts").with_some("attempt", args.attempt);
    Ok(context.client.fetch(&path).await?)
}

fn content_path(args: &ArtifactsArgs, path: &str) -> RequestPath {
    RequestPath::artifact(&args.id, path).with_some("attempt", args.attempt)
}

async fn print_one(context: &VerbContext, args: &ArtifactsArgs, path: &str) -> Result<i32, CliError> {
    let mut content = context.client.content(&content_path(args, path)).await?;
    let mut last = 0;
    while let Some(part) = content.next().await? {
        if context.console.out.terminal && !is_plain(last, &part) {
            return Err(CliError::Usage {
                what: format!("{} is not plain text", clean_label(path)),
                why: Some("its control characters could change the terminal".to_owned()),
                help: format!("longhaul artifacts {} --get {} --to FILE", args.id, clean_label(path)),
            });
        }
        context.console.print_bytes(&part)?;
        last = part.last().copied().unwrap_or(last);
    }
    Ok(DONE)
}

/// Returns true if the bytes contain no control characters and can be shown on a terminal. `last` is the last byte of
/// the previous part, because a control character may be split between two parts.
fn is_plain(last: u8, part: &[u8]) -> bool {
    let mut last = last;
    part.iter().all(|byte| {
        let is_control = match byte {
            b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0xa0..=0xff => false,
            // These are the control characters U+0080 to U+009F in UTF-8.
            0x80..=0x9f => last == 0xc2,
            _ => true,
        };
        last = *byte;
        !is_control
    })
}

/// Writes the content of an artifact to a file and returns its size.
async fn write_one(
    context: &VerbContext,
    args: &ArtifactsArgs,
    path: &str,
    file: &Path,
) -> Result<u64, CliError> {
    let failed = |source| CliError::File { verb: "write", path: file.to_owned(), nearest: None, source };
    // Open the content first, so that a wrong path does not truncate an existing file.
    let mut content = context.client.content(&content_path(args, path)).await?;
    let mut target = File::create(file).map_err(failed)?;
    let mut written = 0_u64;
    while let Some(part) = content.next().await? {
        target.write_all(&part).map_err(failed)?;
        written = written.saturating_add(part.len() as u64);
    }
    Ok(written)
}

async fn write_all(context: &VerbContext, args: &ArtifactsArgs, directory: &Path) -> Result<i32, CliError> {
    let view = fetch(context, args).await?;
    let mut codes = Vec::new();
    let (mut count, mut total) = (0_u64, 0_u64);
    for file in &view.files {
        // The manager sends only paths below the directory. This check protects the user's files if another program
        // answers in place of the manager.
        let is_below = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_below {
            continue;
        }
        let target = directory.join(&file.path);
        match write_below(context, args, &file.path, &target).await {
            Ok(written) => {
                count = count.saturating_add(1);
                total = total.saturating_add(written);
            }
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    for note in artifact_notes(&view) {
        context.console.say(&note);
    }
    let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    context.console.say(&format!("wrote {files} ({}) to {}", bytes(total), directory.display()));
    Ok(first_failed(codes))
}

async fn write_below(
    context: &VerbContext,
    args: &ArtifactsArgs,
    path: &str,
    target: &Path,
) -> Result<u64, CliError> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(|source| CliError::File {
            verb: "create",
            path: parent.to_owned(),
            nearest: None,
            source,
        })?;
    }
    write_one(context, args, path, target).await
}
