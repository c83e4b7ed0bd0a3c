//! What users and agents see of pipelines, over the wire.

mod wire;

use tonic::Code;
use vismae_core::spec::{JobKind, PipelineSpec};
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::status::explain;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::explanation::Kind as RemedyKind;
use vismae_proto::v1::job_spec::Kind;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{
    CancelPipelineRequest, ExplainJobRequest, GetPipelineRequest, ListPipelinesRequest, ListWorkersRequest, LogLine,
    Progress, ReadLogsRequest, ResumePipelineRequest, State, Stopped, SubmitPipelineRequest, SuspendPipelineRequest,
    WatchPipelineRequest,
};
use wire::{Agent, Coordinator, demo, in_time, single};

#[tokio::test]
async fn a_pipeline_of_three_jobs_runs_and_its_watch_ends() {
    let coordinator = Coordinator::start().await;
    assert_eq!(coordinator.submit(&demo()).await.state(), State::Pending);
    let mut watch = coordinator.watch("demo").await;
    let mut first = Agent::attach(&coordinator, "w0", 1).await;

    let (ingest, command) = first.command().await;
    let Command::Start(start) = command else { panic!("{command:?}") };
    assert_eq!((ingest.as_str(), start.slot, start.device.as_str()), ("demo.ingest/0/0", 0, "cpu"));
    assert_eq!((start.store_url.as_str(), start.gang_size), ("file:///store", 1));
    assert_eq!(start.job, pipeline_to_wire(&demo()).jobs.into_iter().next());
    first.succeed(&ingest, &[("frames", 320.0)]).await;
    let view = watch.until("demo.ingest", State::Succeeded).await;
    assert_eq!(view.jobs[0].figures["frames"], 320.0);
    assert_eq!(view.jobs[1].reason, "needs 2 slots at once, the workers have 1 of one kind");

    let mut second = Agent::attach(&coordinator, "w1", 1).await;
    assert_eq!(first.started().await, "demo.pretrain/0/0");
    assert_eq!(second.started().await, "demo.pretrain/0/1");
    second.ready("demo.pretrain/0/1").await;
    first.ready("demo.pretrain/0/0").await;
    for agent in [&mut first, &mut second] {
        let (_, command) = agent.command().await;
        let Command::Membership(membership) = command else { panic!("{command:?}") };
        assert_eq!((membership.generation, membership.store_address.as_str()), (1, "demo.pretrain/0/0:1"));
        assert_eq!(membership.ranks, ["demo.pretrain/0/0", "demo.pretrain/0/1"]);
    }
    let progress = Progress { phase: "training".into(), done: 5, total: 10, loss: Some(0.25), ..Default::default() };
    first.report("demo.pretrain/0/0", Event::Progress(progress.clone())).await;
    let view = loop {
        let view = watch.until("demo.pretrain", State::Running).await;
        if view.jobs[1].progress.is_some() {
            break view;
        }
    };
    assert_eq!(view.jobs[1].progress, Some(progress));
    assert_eq!(view.jobs[1].slots, ["w0#0", "w1#0"]);
    first.succeed("demo.pretrain/0/0", &[("loss", 0.1)]).await;
    second.succeed("demo.pretrain/0/1", &[]).await;

    assert_eq!(first.started().await, "demo.classify/0/0");
    first.succeed("demo.classify/0/0", &[("auc", 0.97)]).await;
    let last = watch.last().await;
    assert_eq!(last.state(), State::Succeeded);
    assert!(last.jobs.iter().all(|job| job.state() == State::Succeeded && job.end_time.is_some()));
    assert_eq!(last.jobs[2].figures["auc"], 0.97);
    coordinator.stop().await;
}

#[tokio::test]
async fn every_fault_of_a_specification_is_named_at_once() {
    let coordinator = Coordinator::start().await;
    let mut spec = demo();
    if let JobKind::Pretrain(pretrain) = &mut spec.jobs[1].kind {
        (pretrain.epochs, pretrain.global_batch) = (0, 63);
    }
    let mut wire = pipeline_to_wire(&spec);
    let submit = |wire, validate_only| {
        let request = SubmitPipelineRequest { spec: Some(wire), validate_only, ..Default::default() };
        let mut jobs = coordinator.jobs();
        async move { jobs.submit_pipeline(request).await }
    };
    for validate_only in [false, true] {
        let status = submit(wire.clone(), validate_only).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            explain(&status),
            "2 fields are not usable\n  - `pretrain.epochs` is 0, expected at least 1\n  \
             - `pretrain.global_batch` is 63, expected a multiple of `lanes` = 8"
        );
    }
    wire.name = "Demo".into();
    wire.jobs[0].kind = None;
    if let Some(Kind::Finetune(finetune)) = &mut wire.jobs[2].kind {
        finetune.corpus = "No".into();
        finetune.pretrained_job = Some("pretrian".into());
        (finetune.batch, finetune.label_fraction) = (0, Some(7.0));
        finetune.optimiser = None;
    }
    wire.jobs[2].depends_on = vec!["ingets".into()];
    let request = SubmitPipelineRequest { spec: Some(wire), request_id: "again".into(), ..Default::default() };
    let text = explain(&coordinator.jobs().submit_pipeline(request).await.unwrap_err());
    let told: Vec<&str> = text.lines().collect();
    for expected in [
        "  - `name` name `Demo` is not usable",
        "  - `ingest.kind` is missing",
        "  - `classify.corpus` name `No` is not usable",
        "  - `classify.optimiser` is missing",
        "  - `request_id` is `again`, expected a UUID",
        "  - `pretrain.epochs` is 0",
        "  - `pretrain.global_batch` is 63",
        "  - `classify.batch` is 0",
        "  - `classify.label_fraction` is 7",
        "  - `classify.depends_on` `ingets` is not a job written before `classify`, expected the name of an earlier job, \
         did you mean `ingest`?",
    ] {
        assert!(told.iter().any(|line| line.starts_with(expected)), "no {expected} in {text}");
    }
    assert_eq!(told.len(), 11, "and nothing else: {text}");
    let status = submit(Default::default(), false).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_check_queues_nothing_and_a_request_sent_twice_is_carried_out_once() {
    let coordinator = Coordinator::start().await;
    let mut request = SubmitPipelineRequest {
        spec: Some(pipeline_to_wire(&single())),
        request_id: "6ba7b810-9dad-11d1-80b4-00c04fd430c8".into(),
        validate_only: true,
    };
    let listed = || async {
        let page = coordinator.jobs().list_pipelines(ListPipelinesRequest::default()).await.unwrap().into_inner();
        page.pipelines.into_iter().map(|pipeline| pipeline.name).collect::<Vec<_>>()
    };
    let mut jobs = coordinator.jobs();
    jobs.submit_pipeline(request.clone()).await.unwrap();
    assert!(listed().await.is_empty());
    request.validate_only = false;
    for _ in 0..2 {
        assert_eq!(jobs.submit_pipeline(request.clone()).await.unwrap().into_inner().name, "demo");
    }
    request.request_id.clear();
    assert_eq!(jobs.submit_pipeline(request.clone()).await.unwrap().into_inner().name, "demo-2");
    assert_eq!(listed().await, ["demo", "demo-2"]);
    request.request_id = "not a uuid".into();
    assert!(explain(&jobs.submit_pipeline(request).await.unwrap_err()).contains("`request_id`"));
    coordinator.stop().await;
}

#[tokio::test]
async fn a_suspended_pipeline_stops_its_tasks_and_goes_on_when_it_is_resumed() {
    let coordinator = Coordinator::start().await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    coordinator.submit(&single()).await;
    let task = agent.started().await;
    let suspend = || SuspendPipelineRequest { name: "demo".into(), ..Default::default() };
    for _ in 0..2 {
        let view = coordinator.jobs().suspend_pipeline(suspend()).await.unwrap().into_inner();
        assert_eq!((view.state(), view.jobs[0].state()), (State::Suspending, State::Suspending));
    }
    let (_, command) = agent.command().await;
    assert!(matches!(command, Command::Stop(_)), "{command:?}");
    agent.report(&task, Event::Stopped(Stopped {})).await;
    let view = coordinator.watch("demo").await.until("demo.ingest", State::Suspended).await;
    assert_eq!((view.state(), view.spec.unwrap().suspended), (State::Suspended, true));
    assert_eq!(view.jobs[0].reason, "the pipeline is suspended");
    let resume = ResumePipelineRequest { name: "demo".into(), ..Default::default() };
    coordinator.jobs().resume_pipeline(resume).await.unwrap();
    assert_eq!(agent.started().await, "demo.ingest/1/0");
    let unknown = SuspendPipelineRequest { name: "other".into(), ..Default::default() };
    assert_eq!(coordinator.jobs().suspend_pipeline(unknown).await.unwrap_err().code(), Code::NotFound);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_job_that_waits_is_explained_with_numbers() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&demo()).await;
    let explain = |job: &str| ExplainJobRequest { job: job.into() };
    let _agent = Agent::attach(&coordinator, "w0", 1).await;
    coordinator.watch("demo").await.until("demo.ingest", State::Running).await;
    let told = coordinator.jobs().explain_job(explain("demo.pretrain")).await.unwrap().into_inner();
    assert_eq!((told.reason.as_str(), told.slots_at_least), ("waits for `ingest`", 2));
    assert_eq!((told.ahead[0].job.as_str(), told.present.unwrap().cpu, told.free.unwrap().cpu), ("demo.ingest", 1, 0));
    let remedy = told.remedy.unwrap();
    assert_eq!((remedy.kind(), remedy.text.as_str()), (RemedyKind::Dependencies, "the jobs it needs must succeed"));
    let unknown = coordinator.jobs().explain_job(explain("demo.nothing")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(vismae_proto::status::explain(&unknown).contains("`demo.ingest`"), "{unknown}");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_cancelled_pipeline_stops_its_tasks_and_ends() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&demo()).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let task = agent.started().await;
    let watch = coordinator.watch("demo").await;
    let request = || CancelPipelineRequest { name: "demo".into(), ..Default::default() };
    let view = coordinator.jobs().cancel_pipeline(request()).await.unwrap().into_inner();
    assert_eq!(view.state(), State::Cancelling);
    assert!(matches!(agent.command().await, (_, Command::Stop(stop)) if stop.reason == "the pipeline was cancelled"));
    agent.report(&task, Event::Stopped(Stopped {})).await;
    let last = watch.last().await;
    assert_eq!(last.state(), State::Cancelled);
    assert!(last.jobs.iter().all(|job| job.state() == State::Cancelled));
    let status = coordinator.jobs().cancel_pipeline(request()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::FailedPrecondition, "pipeline `demo` is over already: `cancelled`")
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_answered_with_what_does() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&demo()).await;
    let mut jobs = coordinator.jobs();
    let status = jobs.get_pipeline(GetPipelineRequest { name: "demp".into() }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no pipeline is called `demp`: there is `demo`"));
    let status =
        jobs.watch_pipeline(WatchPipelineRequest { name: "demp".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status =
        jobs.cancel_pipeline(CancelPipelineRequest { name: "demp".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let read = |job: &str| ReadLogsRequest { job: job.into(), ..Default::default() };
    let status = jobs.read_logs(read("demo.train")).await.unwrap_err();
    assert_eq!(
        status.message(),
        "no job is called `demo.train`: there is `demo.ingest`, `demo.pretrain`, `demo.classify`; did you mean `demo.pretrain`?"
    );
    let status = jobs.read_logs(read("demo")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_log_is_followed_until_its_job_is_over() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&single()).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let task = agent.started().await;
    let line = |text: &str| Message::Log(LogLine { task: task.clone(), text: text.into(), ..Default::default() });
    agent.say(line("one")).await;
    let read = |follow| ReadLogsRequest { job: "demo.ingest".into(), follow, ..Default::default() };
    let mut followed = coordinator.jobs().read_logs(read(true)).await.unwrap().into_inner();
    assert_eq!(in_time(followed.message()).await.unwrap().unwrap().text, "one");
    agent.say(line("two")).await;
    assert_eq!(in_time(followed.message()).await.unwrap().unwrap().text, "two");
    agent.say(line("three")).await;
    agent.succeed(&task, &[]).await;
    assert_eq!(in_time(followed.message()).await.unwrap().unwrap().text, "three");
    assert!(in_time(followed.message()).await.unwrap().is_none());

    let mut kept = coordinator.jobs().read_logs(read(false)).await.unwrap().into_inner();
    let mut texts = Vec::new();
    while let Some(line) = in_time(kept.message()).await.unwrap() {
        texts.push(line.text);
    }
    assert_eq!(texts, ["one", "two", "three"]);
    coordinator.stop().await;
}

#[tokio::test]
async fn pipelines_are_listed_page_by_page() {
    let coordinator = Coordinator::start().await;
    for _ in 0..5 {
        coordinator.submit(&single()).await;
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPipelinesRequest { page_size: 2, page_token, ..Default::default() };
        let page = coordinator.jobs().list_pipelines(request).await.unwrap().into_inner();
        names.extend(page.pipelines.into_iter().map(|pipeline| pipeline.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["demo", "demo-2", "demo-3", "demo-4", "demo-5"]);
    let request = ListPipelinesRequest { page_size: 2, page_token: "x".into(), ..Default::default() };
    let status = coordinator.jobs().list_pipelines(request).await.unwrap_err();
    assert!(explain(&status).contains("`page_token` is `x`"), "{status}");
    coordinator.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged_and_a_page_of_another_list_is_refused() {
    let coordinator = Coordinator::start().await;
    for priority in [5, -2, 7, 5] {
        coordinator.submit(&PipelineSpec { priority, ..single() }).await;
    }
    let cancel = CancelPipelineRequest { name: "demo-3".into(), ..Default::default() };
    coordinator.jobs().cancel_pipeline(cancel).await.unwrap();
    let list = async |filter: &str, order_by: &str, page_size: i32| {
        let (mut names, mut request) = (
            Vec::new(),
            ListPipelinesRequest { page_size, filter: filter.into(), order_by: order_by.into(), ..Default::default() },
        );
        loop {
            let page = coordinator.jobs().list_pipelines(request.clone()).await?.into_inner();
            names.extend(page.pipelines.into_iter().map(|pipeline| pipeline.name));
            if page.next_page_token.is_empty() {
                return Ok::<_, tonic::Status>(names);
            }
            request.page_token = page.next_page_token;
        }
    };
    for size in [1, 3, 100] {
        let found = list("state = PENDING", "priority desc, name", size).await.unwrap();
        assert_eq!(found, ["demo", "demo-4", "demo-2"], "{size}");
        let found = list(r#"name : "demo-*" AND end_time > "2020-01-01T00:00:00Z""#, "", size).await.unwrap();
        assert_eq!(found, ["demo-3"], "{size}");
        assert_eq!(list("priority < 0 OR namespace = other", "", size).await.unwrap(), ["demo-2"], "{size}");
    }
    let refused = list("state = PENDNG", "", 0).await.unwrap_err();
    assert_eq!(
        explain(&refused),
        "a field is not usable\n  - `filter` is `state = PENDNG`, and at character 9 `PENDNG` is none of `pending`, `running`, \
         `suspending`, `suspended`, `cancelling`, `succeeded`, `failed`, `cancelled`, did you mean `pending`?"
    );
    assert!(explain(&list("", "state", 0).await.unwrap_err()).contains("`order_by` is `state`: `state` is none of"));
    let first = ListPipelinesRequest { page_size: 1, order_by: "name".into(), ..Default::default() };
    let page = coordinator.jobs().list_pipelines(first.clone()).await.unwrap().into_inner();
    let other = ListPipelinesRequest { page_token: page.next_page_token, order_by: "name desc".into(), ..first };
    assert!(explain(&coordinator.jobs().list_pipelines(other).await.unwrap_err()).contains("`page_token` is"));

    let (_one, _two) = (Agent::attach(&coordinator, "w0", 1).await, Agent::attach(&coordinator, "w1", 2).await);
    let request = |filter: &str| ListWorkersRequest { filter: filter.into(), ..Default::default() };
    let workers = async |filter: &str| {
        let page = coordinator.workers().list_workers(request(filter)).await.unwrap().into_inner();
        page.workers.into_iter().map(|worker| worker.name).collect::<Vec<_>>()
    };
    assert_eq!(workers("device : cpu AND NOT name = w0").await, ["w1"]);
    assert_eq!(workers(r#"device : "cuda*" OR state = LEAVING"#).await, [""; 0]);
    coordinator.stop().await;
}
