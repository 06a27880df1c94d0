//! Configuration of webhooks and hooks.

use crate::config::entry_table::{EntryField, EntryTable, EntryValues, NAME_PATTERN};
use crate::config::error::ConfigError;
use crate::config::key::{KeyAuthority, find, key_of};
use crate::config::kind::{ConfigValue, ValueKind};
use crate::config::layers::{ConfigEntry, Layers};
use crate::config::settings::{path, span, variables};
use longhaul_api::ProcessScope;
use longhaul_api::hooks::{Hook, HookPlan, HookTrigger, PLACEHOLDERS};
use longhaul_api::webhook::{Webhook, WebhookAddress, WebhookPlan, WebhookSecret};
use longhaul_domain::{ProcessType, ProjectName, Status};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Table of webhooks. It contains one table for each webhook.
pub(super) static WEBHOOKS: EntryTable = EntryTable {
    name: "webhook",
    meaning: "webhooks; one table for each webhook",
    placeholder: "NAME",
    pattern: NAME_PATTERN,
    canonical: |name| Some(name.to_owned()),
    // A webhook in a project file would send the events of this machine to the author of the project.
    trust: KeyAuthority::User,
    fields: &[
        EntryField::new(
            "events",
            ValueKind::List,
            "event types to send, such as PROCESS_FAILED; default: all",
        ),
        EntryField::new(HOOKS, ValueKind::Flag, "also send events of hook processes; default: false"),
        EntryField::new(
            SECRET,
            ValueKind::Text,
            "secret that signs deliveries: whsec_ followed by base64, or any text of at least 16 bytes",
        ),
        EntryField::new(
            "projects",
            ValueKind::List,
            "projects whose processes' events are sent; default: all",
        ),
        EntryField::new(SECRET_FILE, ValueKind::Text, "file with the secret"),
        EntryField::new("session", ValueKind::Name, "session whose events are sent; default: all"),
        EntryField::new(
            "statuses",
            ValueKind::List,
            "statuses of the process after the event, such as timeout; default: all",
        ),
        EntryField::new(
            "types",
            ValueKind::List,
            "process types whose events are sent, such as test_suite; default: all",
        ),
        EntryField::new(URL, ValueKind::Text, "URL of the receiver; webhooks.allow must allow it"),
    ],
};

const HOOKS: &str = "hooks";
const URL: &str = "url";
const SECRET: &str = "secret";
const SECRET_FILE: &str = "secret_file";
/// Value of the environment variable `PATH` for hooks, unless the configuration sets it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The webhooks and hooks of a manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationSettings {
    /// Webhooks, which send events to other programs over HTTP.
    pub webhooks: Vec<Webhook>,
    /// Hooks, which run commands on this machine.
    pub hooks: Vec<Hook>,
    /// Time window in which completions of a session are collected and delivered as one batch.
    pub window: Duration,
    /// File with the CA certificates that verify webhook receivers. With `None`, the certificates that this machine
    /// trusts are used.
    pub authorities: Option<PathBuf>,
}

impl NotificationSettings {
    pub(super) fn of(
        layers: &Layers,
        state_dir: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            webhooks: webhooks(layers, state_dir)?,
            hooks: hooks(layers, state_dir, &variable)?,
            window: span(layers, key_of!("completions.window")),
            authorities: path(layers, state_dir, key_of!("webhooks.ca_file")),
        })
    }

    /// Returns warnings about settings that are valid but probably not intended.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let short = self.webhooks.iter().filter(|webhook| webhook.has_short_secret());
        let short = short.map(|webhook| {
            format!(
                "the secret of webhook.{} has fewer than 16 bytes and can be guessed: use a longer secret, for \
                 example from `openssl rand -base64 24`",
                webhook.name()
            )
        });
        let unknown = self.hooks.iter().flat_map(|hook| {
            let names = hook.unknown_placeholders().into_iter();
            names.map(|name| {
                format!(
                    "{} contains the unknown placeholder {{{name}}}, which is passed on unchanged; the placeholders \
                     are {}",
                    hook.moment().as_str(),
                    PLACEHOLDERS.map(|known| format!("{{{known}}}")).join(", ")
                )
            })
        });
        short.chain(unknown).collect()
    }
}

/// Returns true if the value of the key is a secret that must never be shown.
pub(super) fn is_secret(key: &str) -> bool {
    WEBHOOKS.split(key).is_some_and(|(_, field)| field == SECRET)
}

fn webhooks(layers: &Layers, state_dir: &Path) -> Result<Vec<Webhook>, ConfigError> {
    let mut allowed = Vec::new();
    if let Some(setting) = layers.setting(key_of!("webhooks.allow")) {
        for text in setting.list() {
            let address = WebhookAddress::new(text).map_err(|error| {
                let help = "give the scheme, the host and optionally the start of the path, such as \
                            \"https://example.com/hooks\"";
                setting.invalid("webhooks.allow", text, error.to_string(), help)
            })?;
            allowed.push(address);
        }
    }
    layers.entries(&WEBHOOKS).iter().map(|values| webhook(values, state_dir, &allowed)).collect()
}

fn webhook(
    values: &EntryValues<'_>,
    state_dir: &Path,
    allowed: &[WebhookAddress],
) -> Result<Webhook, ConfigError> {
    let refused = |field: &str, why: String, help: &str| values.invalid(field, why, help.to_owned());
    let Some(url) = values.text(URL) else {
        let why = "a webhook needs the URL of its receiver".to_owned();
        return Err(refused(URL, why, "set `url` in the table of the webhook"));
    };
    let secret = match (values.text(SECRET), values.text(SECRET_FILE)) {
        (Some(secret), None) => secret.to_owned(),
        (None, Some(file)) => match std::fs::read_to_string(state_dir.join(file)) {
            Ok(secret) => secret.trim().to_owned(),
            Err(error) => {
                return Err(refused(SECRET_FILE, error.to_string(), "give a file that the manager can read"));
            }
        },
        (Some(_), Some(_)) | (None, None) => {
            let why = "a webhook needs exactly one secret, which signs its deliveries".to_owned();
            return Err(refused(SECRET, why, "set either `secret` or `secret_file`"));
        }
    };
    let secret = WebhookSecret::new(&secret).map_err(|error| {
        refused(SECRET, error.to_string(), "give whsec_ followed by base64, or any other text")
    })?;
    let plan = WebhookPlan {
        name: values.name().to_owned(),
        url: url.to_owned(),
        secret,
        events: values.list("events").to_vec(),
        session: values.text("session").map(str::to_owned),
        scope: scope(|field| (values.key(field), values.get(field)))?,
        hooks: values.get(HOOKS).is_some_and(|setting| setting.value == ConfigValue::Flag(true)),
    };
    Webhook::new(plan, allowed).map_err(|error| {
        let why = std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), |why| format!("{error}: {why}"));
        refused(URL, why, "give a URL that `webhooks.allow` allows")
    })
}

fn hooks(
    layers: &Layers,
    state_dir: &Path,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Vec<Hook>, ConfigError> {
    let home = variable("HOME").filter(|home| home.starts_with('/'));
    let directory =
        path(layers, state_dir, key_of!("hooks.directory")).map(|path| path.to_string_lossy().into_owned());
    let directory =
        directory.or_else(|| home.clone()).unwrap_or_else(|| state_dir.to_string_lossy().into_owned());
    let mut environment = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    environment.extend(home.map(|home| ("HOME".to_owned(), home)));
    // A hook inherits only those variables of the manager that the configuration names.
    let declared = layers.setting(key_of!("hooks.environment")).map_or(&[][..], ConfigEntry::list);
    environment.extend(variables(declared, variable));
    let scope = scope(|field| {
        let key = format!("{HOOKS}.{field}");
        let setting = find(&key).and_then(|key| layers.setting(key));
        (key, setting)
    })?;
    let mut hooks = Vec::new();
    for moment in HookTrigger::ALL {
        let Some(setting) = find(moment.as_str()).and_then(|key| layers.setting(key)) else { continue };
        let command = setting.list().to_vec();
        if command.is_empty() {
            continue;
        }
        let plan = HookPlan {
            command,
            directory: directory.clone(),
            environment: environment.clone(),
            timeout: span(layers, key_of!("hooks.timeout")),
            scope: scope.clone(),
        };
        hooks.push(Hook::new(moment, plan).map_err(|error| {
            let help = "give a program and its arguments, such as [\"notify-send\", \"{name} {status}\"]";
            setting.invalid(moment.as_str(), "", error.to_string(), help)
        })?);
    }
    Ok(hooks)
}

/// Reads the lists of types, projects and statuses that select processes. `list_of` returns the key and the setting of
/// a list. A value that no process can have is an error, because a filter with this value would match no process.
fn scope<'a>(
    list_of: impl Fn(&'static str) -> (String, Option<&'a ConfigEntry>),
) -> Result<ProcessScope, ConfigError> {
    Ok(ProcessScope {
        types: checked::<ProcessType>(list_of("types"), "correct the process type")?,
        projects: checked::<ProjectName>(list_of("projects"), "correct the name of the project")?,
        statuses: checked::<Status>(list_of("statuses"), "correct the status")?,
    })
}

/// Checks the values of a list and returns the canonical form of each value.
fn checked<T>((key, setting): (String, Option<&ConfigEntry>), help: &str) -> Result<Vec<String>, ConfigError>
where
    T: FromStr + ToString,
    T::Err: ToString,
{
    let Some(entry) = setting else { return Ok(Vec::new()) };
    let value = |text: &String| match text.parse::<T>() {
        Ok(value) => Ok(value.to_string()),
        Err(error) => Err(entry.invalid(&key, text, error.to_string(), help)),
    };
    entry.list().iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::show::{schema, show, show_json};
    use crate::config::sources::ConfigSources;

    const CHAT: &str = "webhooks.allow = [\"https://example.com/hooks\"]\n[webhook.chat]\n";

    fn layers(user: &str, project: &str) -> Result<Layers, ConfigError> {
        let top = tempfile::tempdir().unwrap();
        let (mine, its) = (top.path().join("config.toml"), top.path().join("longhaul.toml"));
        std::fs::write(&mine, user).unwrap();
        std::fs::write(&its, project).unwrap();
        ConfigSources { user_file: Some(mine), project_files: vec![its], ..ConfigSources::default() }.read()
    }

    fn of(user: &str) -> Result<NotificationSettings, ConfigError> {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "DISPLAY" => Some(":0".to_owned()),
            "TOKEN" => Some("hush".to_owned()),
            _ => None,
        };
        NotificationSettings::of(&layers(user, "")?, Path::new("/state"), variable)
    }

    #[test]
    fn without_configuration_no_webhook_or_hook_runs() {
        let found = of("").unwrap();
        assert_eq!((found.webhooks.len(), found.hooks.len()), (0, 0));
        assert_eq!(found.window, Duration::from_millis(250));
    }

    #[test]
    fn webhook_has_an_allowed_address_and_one_secret() {
        let good =
            "url = \"https://example.com/hooks/7\"\nsecret = \"hush\"\nevents = [\"PROCESS_FAILED\"]\n";
        let found = of(&format!("{CHAT}{good}")).unwrap();
        assert_eq!(found.webhooks.iter().map(Webhook::name).collect::<Vec<_>>(), ["chat"]);
        for (wrong, words) in [
            ("url = \"https://evil.org\"\nsecret = \"hush\"\n", "webhooks.allow"),
            ("url = \"https://example.com/hooks\"\n", "exactly one secret"),
            (
                "url = \"https://example.com/hooks\"\nsecret = \"a\"\nsecret_file = \"b\"\n",
                "exactly one secret",
            ),
            ("url = \"https://example.com/hooks\"\nsecret_file = \"/nowhere\"\n", "No such file"),
            ("secret = \"hush\"\n", "needs the URL"),
            (
                "url = \"https://example.com/hooks\"\nsecret = \"hush\"\nevents = [\"X\"]\n",
                "not an event type",
            ),
        ] {
            let error = of(&format!("{CHAT}{wrong}")).unwrap_err();
            assert!(error.why().unwrap().contains(words), "{error:?}");
            assert!(!format!("{error:?}").contains("hush"));
        }
        assert!(matches!(of(&format!("{CHAT}colour = \"red\"\n")), Err(ConfigError::UnknownKey { .. })));
    }

    #[test]
    fn filter_that_could_match_nothing_is_refused_with_the_known_values() {
        let webhook = |line: &str| {
            format!("{CHAT}url = \"https://example.com/hooks\"\nsecret = \"sixteen--letters\"\n{line}\n")
        };
        let hooks = |line: &str| format!("on_end = [\"true\"]\n{line}\n");
        for (config, key, why) in [
            (
                webhook("types = [\"build\", \"test_siute\"]"),
                "webhook.chat.types",
                "test_suite, build, server",
            ),
            (webhook("statuses = [\"fialed\"]"), "webhook.chat.statuses", "failed"),
            (webhook("projects = [\"\"]"), "webhook.chat.projects", ""),
            (hooks("hooks.types = [\"test\"]"), "hooks.types", "test_suite, build, server"),
            ("hooks.types = [\"test\"]\n".to_owned(), "hooks.types", "test_suite, build, server"),
            (hooks("hooks.statuses = [\"fialed\"]"), "hooks.statuses", "failed"),
        ] {
            let error = of(&config).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
            assert!(error.why().unwrap().contains(why), "{error:?}");
        }
        let good = webhook("types = [\"custom:deploy\", \"build\"]\nstatuses = [\"error\", \"timeout\"]");
        assert_eq!(of(&good).unwrap().webhooks.len(), 1);
        let found = of(&hooks("hooks.types = [\"build\"]\nhooks.statuses = [\"error\"]")).unwrap();
        let plan = HookPlan {
            command: vec!["true".to_owned()],
            directory: "/home/me".to_owned(),
            environment: [("HOME", "/home/me"), ("PATH", DEFAULT_PATH)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            timeout: Duration::from_secs(30),
            // The scope contains the status that the alias `error` stands for.
            scope: ProcessScope {
                types: vec!["build".to_owned()],
                statuses: vec!["failed".to_owned()],
                ..ProcessScope::default()
            },
        };
        assert_eq!(found.hooks, [Hook::new(HookTrigger::End, plan).unwrap()]);
    }

    #[test]
    fn hook_gets_only_the_named_variables_of_the_manager() {
        let found = of("on_end = [\"notify-send\", \"{name}\"]\nhooks.environment = [\"DISPLAY\", \"A=b=c\", \"NONE\"]\n").unwrap();
        let plan = HookPlan {
            command: vec!["notify-send".to_owned(), "{name}".to_owned()],
            directory: "/home/me".to_owned(),
            environment: [("A", "b=c"), ("DISPLAY", ":0"), ("HOME", "/home/me"), ("PATH", DEFAULT_PATH)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            timeout: Duration::from_secs(30),
            scope: ProcessScope::default(),
        };
        assert_eq!(found.hooks, [Hook::new(HookTrigger::End, plan).unwrap()]);
        assert!(of("on_end = [\"\"]\n").is_err());
    }

    #[test]
    fn unknown_placeholder_of_a_hook_is_warned_of_with_the_list_of_known_ones() {
        let hook = r#"on_end = ["sh", "-c", "echo '{nosuch}' {id}{exit_code} {\"a\": 1} ${HOME} {} {"]"#;
        let warnings = of(hook).unwrap().warnings();
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.contains("on_end contains the unknown placeholder {nosuch}"), "{warning}");
        assert!(warning.contains("{id}, {name}, {status}, {exit_code}, {event}, {session}"), "{warning}");
        assert!(
            of(r#"on_end = ["notify", "{name} {status} {event} {session}"]"#).unwrap().warnings().is_empty()
        );
    }

    #[test]
    fn secret_of_a_webhook_that_can_be_guessed_is_warned_of() {
        let with = |secret| {
            let lines = format!("{CHAT}url = \"https://example.com/hooks\"\nsecret = \"{secret}\"\n");
            of(&lines).unwrap().warnings()
        };
        assert!(with("fifteen-letters").concat().contains("webhook.chat"));
        assert!(with("whsec_aHVzaA==").len() == 1, "what counts is what the text stands for");
        assert!(with("sixteen--letters").is_empty());
    }

    #[test]
    fn project_may_neither_run_hooks_nor_send_anything_anywhere() {
        for line in [
            "on_start = [\"evil\"]",
            "on_session_complete = [\"evil\"]",
            "webhooks.allow = [\"https://evil.org\"]",
            "webhook.chat.url = \"https://evil.org\"",
            "hooks.environment = [\"TOKEN\"]",
        ] {
            let refused = layers("", line);
            assert!(matches!(refused, Err(ConfigError::NotForProjects { .. })), "{line}: {refused:?}");
        }
    }

    #[test]
    fn secret_is_never_shown() {
        let layers = layers("[webhook.chat]\nurl = \"https://a\"\nsecret = \"hush\"\n", "").unwrap();
        let shown = format!("{}{}", show(&layers, true), show_json(&layers));
        assert!(shown.contains("webhook.chat.secret") && !shown.contains("hush"), "{shown}");
        assert!(schema().to_string().contains("secret_file"));
    }
}
