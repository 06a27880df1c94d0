//! Name of the user as whom this node executes commands.

use std::fs;

/// Returns the name of the effective user, or `uid:N` if `/etc/passwd` has no name for the user id.
///
/// The name is used because machines are more likely to share user names than user ids. It is read from `/etc/passwd`,
/// because a statically linked program cannot use other sources.
pub(super) fn name() -> String {
    let id = rustix::process::geteuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&users, id).map_or_else(|| format!("uid:{id}"), str::to_owned)
}

fn named(users: &str, id: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(id) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_has_the_first_name_of_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nada:x:1000:1000::/:/bin/sh\nzoe:x:1000:1::/:\n";
        assert_eq!((named(users, 0), named(users, 1000)), (Some("root"), Some("ada")));
        assert_eq!(named(users, 100), None);
        assert!(!name().is_empty());
    }
}
