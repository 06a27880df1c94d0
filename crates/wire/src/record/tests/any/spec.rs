use super::*;

pub(super) fn spec() -> BoxedStrategy<Spec> {
    let reported = (some(name()), any::<bool>(), some(span()), span())
        .prop_map(|(node, queued, heartbeat, grace)| ReportedSpec { node, queued, heartbeat, grace });
    let work = prop_oneof![
        command().prop_map(|command| Work::Command(Box::new(command))),
        reported.prop_map(Work::Reported),
    ];
    let kind = prop_oneof![
        prop::sample::select(vec![
            ProcessType::JulesSession,
            ProcessType::TestSuite,
            ProcessType::Build,
            ProcessType::Server,
            ProcessType::Analysis,
            ProcessType::Custom,
        ]),
        name().prop_map(ProcessType::Named),
    ];
    let agent =
        ((some(name()), some(name()), prop::collection::vec(name(), 0..3)), any::<[Option<String>; 4]>())
            .prop_map(|((agent_id, agent_type, capabilities), [parent_message_id, prompt, agent, model])| {
                AgentDescriptor {
                    agent_id,
                    agent_type,
                    capabilities,
                    parent_message_id,
                    prompt,
                    agent,
                    model,
                }
            });
    let placement = prop_oneof![
        Just(Placement::Here),
        name().prop_map(Placement::Node),
        prop::collection::vec(name(), 0..3).prop_map(Placement::Labels),
        Just(Placement::Anywhere),
    ];
    let retry = (any::<u32>(), span(), span(), any::<Vec<i32>>(), any::<(bool, bool)>()).prop_map(
        |(retries, first, cap, codes, (after_timeout, after_interruption))| RetryPolicy {
            retries,
            first,
            cap,
            codes,
            after_timeout,
            after_interruption,
        },
    );
    (
        (work, kind, some(name()), some(name()), some(name())),
        (any::<Option<String>>(), some(json()), agent, some(name())),
        (priority(), some(name()), some(timestamp()), placement, retry),
        (children(), some(children()), session_policy(), some(span()), some(span())),
    )
        .prop_map(
            |(
                (work, kind, name, project, session),
                (description, metadata, agent, key),
                (priority, launch_key, not_before, placement, retry),
                (children, children_on_failure, on_session_end, idle_after, stall_after),
            )| Spec {
                work,
                kind,
                name,
                project,
                session,
                description,
                metadata,
                agent,
                key,
                priority,
                launch_key,
                not_before,
                placement,
                retry,
                children,
                children_on_failure,
                on_session_end,
                silence: SilencePolicy { idle_after, stall_after },
            },
        )
        .boxed()
}
