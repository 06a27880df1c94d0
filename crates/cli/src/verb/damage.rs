//! What is said of damaged records.

use crate::console::Console;

/// Says which records are damaged, if any, and are left out of what is shown.
pub(super) fn print_damage(console: &Console, ids: &[&str]) {
    let Some(first) = ids.first() else { return };
    let (count, ids) = (ids.len(), ids.join(" "));
    console.say(&format!(
        "damaged records, not included here: {count} ({ids}); `longhaul inspect {first}` shows what is wrong"
    ));
}
