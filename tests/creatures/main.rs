//! Badly behaving test programs: `zoo NAME [WORD]…`.
//!
//! Each process first registers itself in a file, so that the test can count live processes independently. No process
//! lives longer than two minutes.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test program")]

mod census;
mod files;
mod floods;
mod killers;
mod limits;
mod stubborn;
mod system;
mod vandals;
mod wanderers;

/// Function that runs a test program. It receives the command-line words after the name of the program, and returns its
/// exit code.
type Behaviour = fn(&[String]) -> i32;

const CREATURES: &[(&str, Behaviour)] = &[
    ("burns", stubborn::burns),
    ("closes-all", files::closes_all),
    ("comes-and-goes", stubborn::comes_and_goes),
    ("counts", stubborn::counts),
    ("daemon", wanderers::daemon),
    ("dies-by", killers::dies_by),
    ("dumps-core", killers::dumps_core),
    ("eats-memory", limits::eats_memory),
    ("ends", killers::ends),
    ("far", wanderers::far),
    ("floods", floods::floods),
    ("floods-both", floods::floods_both),
    ("forks-only", wanderers::forks_only),
    ("holds-output", wanderers::holds_output),
    ("holds-port", wanderers::holds_port),
    ("hops", wanderers::hops),
    ("ignores-all", stubborn::ignores_all),
    ("ignores-term", stubborn::ignores_term),
    ("inherits", files::inherits),
    ("invalid-text", floods::invalid_text),
    ("kills-group", killers::kills_group),
    ("kills-supervisor", killers::kills_supervisor),
    ("leaves-storm", wanderers::leaves_storm),
    ("lies", floods::lies),
    ("long-line", floods::long_line),
    ("loses-directory", files::loses_directory),
    ("lowers-limits", limits::lowers_limits),
    ("makes-zombies", wanderers::makes_zombies),
    ("nested", stubborn::nested),
    ("never-reads", stubborn::obeys),
    ("nulls", floods::nulls),
    ("obeys", stubborn::obeys),
    ("over-file-size", limits::over_file_size),
    ("port", wanderers::port),
    ("re-parents", wanderers::re_parents),
    ("renamed", wanderers::renamed),
    ("sheds-its-name", wanderers::sheds_its_name),
    ("stops-itself", stubborn::stops_itself),
    ("stops-supervisor", killers::stops_supervisor),
    ("storms", wanderers::storms),
    ("ties-itself-to-its-parent", killers::ties_itself_to_its_parent),
    ("traces", wanderers::traces),
    ("vandal", vandals::vandal),
    ("vforks", wanderers::vforks),
    ("wants-terminal", files::wants_terminal),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (name, words) = words.split_first().unwrap();
    if name == "instant" {
        // This test program exits immediately, without registering itself in the census file.
        std::process::exit(7);
    }
    let behaviour = CREATURES.iter().find(|(each, _)| each == name).unwrap().1;
    if name != "renamed" {
        census::enrol();
    }
    std::process::exit(behaviour(words))
}
