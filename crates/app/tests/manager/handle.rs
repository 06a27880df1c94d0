use longhaul::config::{ConfigSources, Flags};
use longhaul::{LockError, Longhaul, ProgramError, StoreContext};
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{ProcessId, ReportedSpec, Spec, Status, Work};
use longhaul_engine::ports::{PageRequest, ProcessFilter, SortOrder, Store};
use longhaul_engine::{Launch, Launcher, Shutdown};
use std::path::Path;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn handle_is_one_for_a_state_directory_and_every_clone_is_the_same() {
    let top = tempfile::tempdir().unwrap();
    let place = top.path().join("state");
    let (first, second) = tokio::join!(open(&place), open(&place));
    let (first, second) = (first.unwrap(), second.unwrap());
    let id = launch(&first).await;
    assert_eq!(status(&second, id).await, Some(Status::Running));
    assert_eq!(status(&Longhaul::at(&place).unwrap(), id).await, Some(Status::Running));
    assert_eq!(status(&first.clone(), id).await, Some(Status::Running));
    let other = open(&top.path().join("other")).await.unwrap();
    assert_eq!(status(&other, id).await, None);
    for handle in [first, other] {
        handle.shut_down(Shutdown::Leave).await.unwrap();
    }
    assert!(Longhaul::at(&place).is_none());
    let again = open(&place).await.unwrap();
    assert_eq!(status(&again, id).await, Some(Status::Running), "the store is on the disk");
    again.shut_down(Shutdown::Leave).await.unwrap();
}

#[tokio::test]
async fn reset_allows_a_new_handle_although_clones_exist() {
    let top = tempfile::tempdir().unwrap();
    let kept = open(top.path()).await.unwrap();
    let id = launch(&kept).await;
    Longhaul::reset(top.path());
    assert!(Longhaul::at(top.path()).is_none());
    let next = open(top.path()).await.unwrap();
    assert_eq!(status(&next, id).await, Some(Status::Running));
    assert!(kept.engine().launch(reported()).await.is_err(), "a reset engine accepts nothing new");
    next.shut_down(Shutdown::Leave).await.unwrap();
}

#[tokio::test]
async fn handle_is_refused_where_a_manager_serves() {
    let bench = crate::bench::Bench::new();
    bench.launch("true");
    let pid = bench.manager().unwrap().as_raw_nonzero().get().unsigned_abs();
    let Err(ProgramError::Lock(LockError::Held { holder, .. })) = open(bench.state()).await else {
        panic!("the store is open")
    };
    assert_eq!(holder.pid, Some(pid));
}

#[tokio::test]
async fn store_of_ones_own_is_opened_by_the_scheme_of_its_url() {
    let top = tempfile::tempdir().unwrap();
    let opened = Arc::new(Mutex::new(Vec::new()));
    let noted = opened.clone();
    let builder = Longhaul::builder().state_dir(top.path()).sources(of("etcd:host/ns")).store(
        "etcd",
        move |opening: StoreContext| {
            noted.lock().unwrap().push(opening.rest);
            async move { Ok(Arc::new(MemoryStore::new(opening.clock)) as Arc<dyn Store>) }
        },
    );
    let handle = builder.open().await.unwrap();
    assert_eq!(*opened.lock().unwrap(), ["host/ns"]);
    let id = launch(&handle).await;
    assert_eq!(status(&handle, id).await, Some(Status::Running));
    handle.shut_down(Shutdown::Leave).await.unwrap();
    let refused = Longhaul::builder().state_dir(top.path()).sources(of("etcd:host/ns")).open().await;
    assert!(matches!(refused, Err(ProgramError::Config(_))), "{refused:?}");
}

async fn open(place: &Path) -> Result<Longhaul, ProgramError> {
    Longhaul::builder().state_dir(place).sources(ConfigSources::default()).open().await
}

fn of(store: &str) -> ConfigSources {
    ConfigSources {
        flags: Flags { store: Some(store.to_owned()), ..Flags::default() },
        ..ConfigSources::default()
    }
}

fn reported() -> Launch {
    let spec = Spec::of(Work::Reported(ReportedSpec::default()));
    Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false }
}

async fn launch(handle: &Longhaul) -> ProcessId {
    handle.engine().launch(reported()).await.unwrap().stored.process.id
}

async fn status(handle: &Longhaul, id: ProcessId) -> Option<Status> {
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 10 };
    let listing = handle.engine().list(&ProcessFilter::default(), &page).await.unwrap();
    listing.processes.iter().find(|stored| stored.process.id == id).map(|stored| stored.process.status())
}
