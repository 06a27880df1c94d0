//! Runs the contract suites on the fakes.

use async_trait::async_trait;
use longhaul_domain::{CommandSpec, Stdin, Timestamp};
use longhaul_ports::{AttemptKey, OutputSource, Spawner};
use longhaul_testkit::fakes::{
    ChildScript, FakeArtifactStore, FakeEnvironmentStore, FakeOutput, FakeTestFiles, ScriptedSpawner,
    SequentialIds, VirtualClock,
};
use longhaul_testkit::suite::{
    ArtifactFixture, EnvironmentStoreFixture, IdSourceFixture, OutputFeed, OutputFixture, SpawnerFixture,
    TestCommands, TestFileFeed, TestFilesFixture,
};
use std::sync::Arc;
use std::time::Duration;

mod ids {
    use super::*;

    longhaul_testkit::ids_suite!(|| IdSourceFixture::new(Arc::new(SequentialIds::default())));
}

mod store {
    use super::*;

    fn open() -> EnvironmentStoreFixture {
        let store = Arc::new(FakeEnvironmentStore::default());
        EnvironmentStoreFixture::new(move || store.clone())
    }

    longhaul_testkit::environment_store_suite!(open);
}

mod test_files {
    use super::*;

    #[derive(Debug)]
    struct Direct(FakeTestFiles);

    #[async_trait]
    impl TestFileFeed for Direct {
        async fn start(&self, _key: AttemptKey) {}

        async fn append(&self, key: AttemptKey, name: &str, bytes: &[u8]) {
            self.0.append(key, name, bytes);
        }

        async fn write_report(&self, path: &str, bytes: &[u8]) {
            self.0.write_report(path, bytes, Timestamp(0));
        }

        fn directory(&self) -> String {
            "/work".to_owned()
        }
    }

    fn open() -> TestFilesFixture {
        let files = FakeTestFiles::default();
        TestFilesFixture::new(Arc::new(files.clone()), Arc::new(Direct(files)))
    }

    longhaul_testkit::test_files_suite!(open);
}

mod artifacts {
    use super::*;

    longhaul_testkit::artifact_store_suite!(|| {
        let store = Arc::new(FakeArtifactStore::default());
        ArtifactFixture::new(store.clone(), store)
    });
}

mod output {
    use super::*;

    #[derive(Debug)]
    struct Direct {
        clock: VirtualClock,
        output: FakeOutput,
    }

    #[async_trait]
    impl OutputFeed for Direct {
        async fn write(&self, key: AttemptKey, source: OutputSource, bytes: &[u8]) {
            self.output.write(key, source, bytes);
        }

        async fn write_progress(&self, key: AttemptKey, bytes: &[u8]) -> bool {
            self.output.write_progress(key, bytes);
            true
        }

        async fn pass(&self, span: Duration) {
            self.clock.advance(span);
        }
    }

    fn open() -> OutputFixture {
        let clock = VirtualClock::default();
        let output = FakeOutput::new(clock.clone());
        OutputFixture::new(Arc::new(output.clone()), Arc::new(Direct { clock, output }))
    }

    longhaul_testkit::output_suite!(open);
}

mod spawner {
    use super::*;

    #[derive(Debug)]
    struct Scripted {
        clock: VirtualClock,
        machine: ScriptedSpawner,
    }

    #[async_trait]
    impl TestCommands for Scripted {
        fn exits(&self, after: Duration, code: u8) -> CommandSpec {
            let after = after.as_millis().to_string();
            CommandSpec::of("exit", &[&code.to_string(), &after], "/")
        }

        fn runs(&self) -> CommandSpec {
            CommandSpec::of("run", &[], "/")
        }

        fn ignores_term(&self) -> Option<CommandSpec> {
            Some(CommandSpec::of("stubborn", &[], "/"))
        }

        fn missing(&self) -> CommandSpec {
            CommandSpec::of("missing", &[], "/")
        }

        fn echoes(&self) -> Option<CommandSpec> {
            Some(CommandSpec { stdin: Stdin::Pipe, ..CommandSpec::of("cat", &[], "/") })
        }

        fn asks(&self) -> Option<CommandSpec> {
            Some(CommandSpec { stdin: Stdin::Pipe, ..CommandSpec::of("ask", &[], "/") })
        }

        fn listens(&self) -> Option<(CommandSpec, u16)> {
            Some((CommandSpec::of("serve", &["8080"], "/"), 8080))
        }

        async fn pass(&self, span: Duration) {
            self.clock.run_for(span).await;
        }

        async fn reopen(&self) -> Arc<dyn Spawner> {
            Arc::new(self.machine.reopened())
        }
    }

    fn open() -> SpawnerFixture {
        let clock = VirtualClock::default();
        let machine = ScriptedSpawner::casting(clock.clone(), |order| {
            ChildScript::of_words(&order.command.program, &order.command.args)
        });
        SpawnerFixture::new(Arc::new(Scripted { clock, machine }))
    }

    longhaul_testkit::spawner_suite!(open);
}
