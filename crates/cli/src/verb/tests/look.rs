//! Tests of subcommands that show processes.

use super::*;

#[test]
fn status_prints_live_processes() {
    let came = said("status", false, |_| list(&[samples::running()]));
    assert_eq!(came.out.lines().count(), 2);
    assert_eq!(came.asked, ["GET /v1/processes?limit=200"]);
}

#[test]
fn status_of_nothing_is_one_sentence_on_standard_error() {
    let came = said("status", false, |_| list(&[]));
    assert_eq!((came.code(), came.out.as_str()), (0, ""));
    assert_eq!(came.err, "nothing is running; longhaul status -a shows what has ended\n");
}

#[test]
fn nothing_is_claimed_of_other_nodes_while_the_store_does_not_answer() {
    fn away(_: &FakeRequest) -> FakeResponse {
        let list = json!({"processes": [], "cursor": null, "at": samples::NOW, "stale_since": samples::NOW});
        FakeResponse::Json(200, list)
    }
    for verb in ["status", "status -a", "tree", "tree -a"] {
        let came = said(verb, false, away);
        assert_eq!((came.code(), came.out.as_str()), (0, ""), "{verb}");
        let told = "\nthis node stores no such process; processes of other nodes are unknown until the \
            store answers\n";
        assert!(
            came.err.starts_with("the store has not answered since ") && came.err.ends_with(told),
            "{verb}: {}",
            came.err
        );
    }
    let came = said("cancel --all --yes", false, away);
    assert_eq!(came.code(), 6, "{}", came.err);
}

#[test]
fn hint_about_several_live_processes_of_an_agent_is_printed_only_to_a_terminal() {
    let answer = |asked: &FakeRequest| {
        if asked.path.contains("agent_id=") {
            list(&[samples::running(), samples::queued()])
        } else {
            FakeResponse::Json(200, json!(samples::running()))
        }
    };
    let came = said("status agent:child-1", true, answer);
    let hint = format!(
        "agent child-1 has 2 live processes; this is the newest one: {} tests; list all: longhaul status --agent-id child-1\n",
        &samples::running().id[..8]
    );
    assert!(came.err.contains(&hint), "{}", came.err);
    let came = said("status agent:child-1", false, answer);
    assert_eq!(
        (came.err.as_str(), came.asked.len()),
        ("", 1),
        "no request is made for a hint that is not shown"
    );
}

#[test]
fn status_in_json_has_a_schema_even_when_empty() {
    let came = said("status --json", false, |_| list(&[]));
    let document: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(
        document,
        json!({
            "schema": "longhaul/status/v1",
            "at": samples::NOW,
            "last_changed": null,
            "processes": [],
            "cursor": null,
            "stale_since": null,
        })
    );
    assert_eq!(came.err, "");
}

#[test]
fn status_collects_all_pages() {
    let came = said("status -a -o name", false, |asked| {
        if asked.path.contains("cursor=next") {
            list(&[samples::failed()])
        } else {
            FakeResponse::Json(
                200,
                json!({"processes": [samples::running()], "cursor": "next", "at": samples::NOW}),
            )
        }
    });
    assert_eq!(came.out, format!("{}\n{}\n", samples::running().id, samples::failed().id));
    assert_eq!(
        came.asked,
        ["GET /v1/processes?all=true&limit=200", "GET /v1/processes?all=true&limit=200&cursor=next"]
    );
}

#[test]
fn limit_is_the_size_of_the_page() {
    let came = said("status -l -o name", false, |_| {
        FakeResponse::Json(
            200,
            json!({"processes": [samples::running()], "cursor": "next", "at": samples::NOW}),
        )
    });
    assert_eq!(came.asked, ["GET /v1/processes?all=true&not_type=custom%3Ahook&limit=1"]);
}

#[test]
fn status_of_a_project_filters_by_it() {
    for line in ["status atlas", "status -p atlas"] {
        let came = said(line, false, |asked| {
            if asked.path.starts_with("/v1/processes/") {
                problem(404, "process_not_found")
            } else {
                list(&[samples::running()])
            }
        });
        assert_eq!(came.asked.last().unwrap(), "GET /v1/processes?project=atlas&limit=200");
        assert_eq!(came.code(), 0);
    }
}

#[test]
fn status_counts_the_processes_beyond_the_limit() {
    let came = said("status -a -n 1", true, |asked| {
        let rest = asked.path.contains("cursor=7");
        let listed =
            if rest { vec![samples::failed(), samples::cancelled()] } else { vec![samples::running()] };
        let cursor = (!rest).then_some("7");
        answered(&json!({"processes": listed, "cursor": cursor, "at": samples::NOW}))
    });
    assert_eq!(came.out.lines().count(), 2, "{}", came.out);
    let counts = "1 of 3 shown · 1 live · 1 cancelled · 1 failed: longhaul logs b7d0ha00\n";
    assert!(came.err.ends_with(counts), "{}", came.err);
}

#[test]
fn status_of_an_id_is_its_page() {
    let came = said("status 0a1b", false, |asked| {
        assert_eq!(asked.path, "/v1/processes/0a1b?usage=true");
        process(&samples::running())
    });
    assert!(came.out.contains("next       longhaul logs -f 0a1b2c3d"), "{}", came.out);
}

#[test]
fn status_of_a_word_that_names_neither_process_nor_project_is_three() {
    for word in ["0a1b", "nosuch-job", "failed"] {
        let came = said(&format!("status {word}"), false, |asked| {
            if asked.path.starts_with("/v1/processes/") {
                problem(404, "process_not_found")
            } else {
                list(&[])
            }
        });
        assert_eq!(came.code(), 3);
        assert!(matches!(came.outcome, Err(failure) if failure.slug() == "process_not_found"));
    }
}

#[test]
fn status_of_a_word_that_names_a_session_says_how_to_list_that_session() {
    let came = said("status nightly", false, |asked| {
        if asked.path.starts_with("/v1/processes/") {
            problem(404, "process_not_found")
        } else if asked.path == "/v1/processes?session=nightly&all=true&limit=1" {
            list(&[samples::running()])
        } else {
            list(&[])
        }
    });
    assert_eq!(came.code(), 3);
    let Err(CliError::Client(longhaul_client::ClientError::Problem { problem })) = came.outcome else {
        panic!("{:?}", came.outcome)
    };
    let help = problem.help.unwrap_or_default();
    assert!(help.starts_with("longhaul status -a --session nightly "), "{help}");
}

#[test]
fn watch_through_a_pipe_prints_each_end_once() {
    let looks = Rc::new(Cell::new(0));
    let came = said("status -w", false, move |asked| {
        if asked.path.starts_with("/v1/wait") {
            return waited(&[ended(samples::running(), 7)], false);
        }
        if asked.path.starts_with("/v1/processes/") {
            return process(&ended(samples::running(), 7));
        }
        looks.set(looks.get() + 1);
        match looks.get() {
            1 => list(&[samples::running(), samples::queued()]),
            2 | 3 => list(&[samples::queued()]),
            _ => problem(500, "internal"),
        }
    });
    assert!(came.outcome.is_err(), "the watch continues until a request fails");
    let rows: Vec<&str> = came.out.lines().filter(|line| line.contains("0a1b2c3d")).collect();
    assert_eq!(rows.len(), 2, "{}", came.out);
    assert!(rows[0].contains("running") && rows[1].contains("failed"), "{rows:?}");
}

#[test]
fn inspect_is_json_by_default() {
    let came = said("inspect 0a1b", false, |_| process(&samples::running()));
    let seen: ProcessView = serde_json::from_str(&came.out).unwrap();
    assert_eq!(seen, samples::running());
}

#[test]
fn explain_knows_words_in_brackets_too() {
    let (console, out, _err) = Console::kept(None, false);
    let args = crate::arguments::ExplainArgs { code: Some("[no_slot]".to_owned()) };
    assert_eq!(explain(&console, &args).unwrap(), 0);
    assert!(out.text().starts_with("no_slot\n\n"));
    let unknown = crate::arguments::ExplainArgs { code: Some("nonsense".to_owned()) };
    assert!(explain(&console, &unknown).is_err());
}

#[test]
fn explanations_are_json_where_that_is_asked_for() {
    let explained = |code: Option<&str>| -> Value {
        let (console, out, _err) = Console::kept(Some(OutputFormat::Json), false);
        let args = crate::arguments::ExplainArgs { code: code.map(str::to_owned) };
        assert_eq!(explain(&console, &args).unwrap(), 0);
        serde_json::from_str(&out.text()).unwrap()
    };
    assert_eq!(explained(Some("no_slot"))["type"], json!("no_slot"));
    assert_eq!(explained(None)["schema"], json!("longhaul/explain/v1"));
}

#[test]
fn formats_other_than_json_are_for_people() {
    for format in [OutputFormat::Table, OutputFormat::Wide, OutputFormat::Name] {
        let (console, _out, _err) = Console::kept(Some(format), false);
        assert!(!console.is_json());
    }
}

#[test]
fn filters_of_status_reach_the_manager() {
    let came =
        said("status --session s --level 1 --agent-id a --parent p --tree t --type build", false, |_| {
            list(&[])
        });
    assert_eq!(
        came.asked,
        ["GET /v1/processes?session=s&level=1&agent_id=a&parent=p&tree=t&type=build&limit=200"]
    );
    assert_eq!(came.err, "no process matches\n");
}

#[test]
fn wide_status_requests_resource_usage() {
    let came = said("status -o wide", true, |_| {
        let mut process = samples::running();
        process.usage = Some(longhaul_wire::api::TreeUsageView {
            cpu_ms: 1_500,
            memory_bytes: 3 << 20,
            ..longhaul_wire::api::TreeUsageView::default()
        });
        list(&[process])
    });
    assert_eq!(came.asked, ["GET /v1/processes?usage=true&limit=200"]);
    assert!(
        came.out.contains("CPU") && came.out.contains("1.5s") && came.out.contains("3 MiB"),
        "{}",
        came.out
    );
}

#[test]
fn the_latest_is_never_a_hook_unless_its_type_is_asked_for() {
    let hook = || ProcessView { kind: "custom:hook".to_owned(), id: "h".to_owned(), ..samples::running() };
    let page = |processes: &[ProcessView], cursor: Option<&str>| {
        answered(&longhaul_wire::api::ProcessList {
            processes: processes.to_vec(),
            cursor: cursor.map(str::to_owned),
            ..longhaul_wire::api::ProcessList::default()
        })
    };
    let came = said("status -l -o name", false, move |asked| match asked.path.as_str() {
        "/v1/processes?all=true&not_type=custom%3Ahook&limit=1" => page(&[samples::running()], Some("3")),
        other => panic!("{other}"),
    });
    assert_eq!(came.out, format!("{}\n", samples::running().id));
    let asked = said("status -l -o name --type custom:hook", false, move |_| page(&[hook()], Some("9")));
    assert_eq!(asked.asked, ["GET /v1/processes?all=true&type=custom%3Ahook&limit=1"]);
    assert_eq!(asked.out, "h\n");
}
