//! Decodes ids and names. A valid name must be displayed exactly as it was read, and must fit into one line of a
//! terminal.

use super::{Verdict, same};
use longhaul_domain::{
    AgentId, Capability, LaunchKey, NodeId, ProcessId, ProcessName, ProcessType, ProjectName, SessionId,
    SlotKey, Stage, Status,
};
use longhaul_wire::event::EventKind;
use std::fmt::{Debug, Display};
use std::str::FromStr;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let text = std::str::from_utf8(bytes).map_err(|_| "the input is not text".to_owned())?;
    let words = [
        read::<ProcessId>(text),
        read::<ProcessType>(text),
        read::<Status>(text),
        same(|| text.parse::<EventKind>(), |kind| kind.as_str().parse()),
    ];
    let names = [
        name::<NodeId>(text),
        name::<SessionId>(text),
        name::<ProjectName>(text),
        name::<ProcessName>(text),
        name::<SlotKey>(text),
        name::<LaunchKey>(text),
        name::<AgentId>(text),
        name::<Capability>(text),
        name::<Stage>(text),
    ];
    let word = words.into_iter().find(Result::is_ok);
    word.unwrap_or_else(|| names.into_iter().collect())
}

fn read<T>(text: &str) -> Verdict
where
    T: FromStr + Display + PartialEq + Debug,
    T::Err: Display,
{
    same(|| text.parse::<T>(), |found| found.to_string().parse())
}

fn name<T>(text: &str) -> Verdict
where
    T: FromStr + Display + PartialEq + Debug,
    T::Err: Display,
{
    read::<T>(text)?;
    let shown = text.parse::<T>().map(|name| name.to_string()).unwrap_or_default();
    assert_eq!(shown, text, "the displayed name differs");
    assert!(
        !shown.chars().any(char::is_control) && shown.len() <= 128,
        "an invalid name was accepted: {shown:?}"
    );
    Ok(())
}
