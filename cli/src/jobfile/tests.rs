//! Job files, right and wrong.

mod tampered;

use std::path::Path;
use std::time::Duration;

use vismae_core::device::DeviceKind;
use vismae_core::ids::NamespaceName;
use vismae_core::spec::{Demand, Initialisation, JobKind, Modality, PipelineSpec, Placement, Window, XrayRange};

use super::{Overrides, parse};

const SOUND: &str = r#"
name = "demo"
store = "/data/store"
[corpus]
name = "phantom"
inputs = ["images", "/more/manifest.csv"]
image_size = 64
[model]
size = "tiny"
[pretrain]
epochs = 20
global_batch = 64
slots = 2
learning_rate = 1e-3
[[finetune]]
name = "classify"
task = "classify"
epochs = 3
batch = 32
learning_rate = 1
modalities = ["CT", "us"]
[[finetune]]
name = "scratch"
task = "segment"
init = "random"
epochs = 3
batch = 32
learning_rate = 1e-4
sources = ["us_busi"]
"#;

fn read(text: &str) -> Result<PipelineSpec, Vec<String>> {
    parse(text, Path::new("/jobs"), &Overrides::default())
        .map_err(|faults| faults.iter().map(|fault| format!("{}: {fault}", fault.line.unwrap_or(0))).collect())
}

/// The faults after replacing pieces of a sound file.
fn faults_of(changes: &[(&str, &str)]) -> Vec<String> {
    let mut text = SOUND.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    read(&text).unwrap_err()
}

fn names(spec: &PipelineSpec, job: usize) -> (&str, Vec<&str>) {
    let job = &spec.jobs[job];
    (job.name.as_str(), job.depends_on.iter().map(|name| name.as_str()).collect())
}

#[test]
fn a_sound_file_becomes_a_pipeline() {
    let spec = read(SOUND).unwrap();
    assert_eq!(spec.name.as_str(), "demo");
    assert_eq!(spec.store_url, "file:///data/store");
    assert_eq!(names(&spec, 0), ("ingest", vec![]));
    assert_eq!(names(&spec, 1), ("pretrain", vec!["ingest"]));
    assert_eq!(names(&spec, 2), ("classify", vec!["pretrain"]));
    assert_eq!(names(&spec, 3), ("scratch", vec!["pretrain"]), "a baseline leaves the slots to the pre-training");
    let JobKind::Ingest(ingest) = &spec.jobs[0].kind else { panic!() };
    assert_eq!(ingest.inputs, ["/jobs/images", "/more/manifest.csv"]);
    assert_eq!(ingest.ct_windows, [Window { low: -160.0, high: 240.0 }]);
    assert_eq!(ingest.xray_range, XrayRange::Voi);
    let JobKind::Pretrain(pretrain) = &spec.jobs[1].kind else { panic!() };
    assert_eq!((pretrain.lanes, pretrain.optimiser.weight_decay, pretrain.seed), (8, 0.05, 0));
    let JobKind::Finetune(classify) = &spec.jobs[2].kind else { panic!() };
    assert_eq!(classify.selection.modalities, [Modality::Ct, Modality::Ultrasound]);
    assert_eq!(classify.initialisation, Initialisation::Pretrained(spec.jobs[1].name.clone()));
    let JobKind::Finetune(scratch) = &spec.jobs[3].kind else { panic!() };
    assert_eq!(scratch.initialisation, Initialisation::Random);
    assert_eq!(scratch.selection.sources, ["us_busi"]);
}

#[test]
fn the_examples_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for (example, jobs) in [("demo.toml", 6), ("real-images.toml", 6), ("label-efficiency.toml", 20)] {
        let spec = super::load(&folder.join(example), &Overrides::default()).unwrap();
        assert_eq!(spec.jobs.len(), jobs, "{example}");
    }
}

#[test]
fn a_corpus_without_inputs_is_not_ingested() {
    let spec = read(&SOUND.replace("inputs = [\"images\", \"/more/manifest.csv\"]\n", "")).unwrap();
    assert_eq!(names(&spec, 0), ("pretrain", vec![]));
}

#[test]
fn the_command_line_replaces_store_and_inputs() {
    let overrides =
        Overrides { store: Some("s3://bucket/here".into()), data: Some("/else".into()), ..Default::default() };
    let spec = parse(SOUND, Path::new("/jobs"), &overrides).unwrap();
    assert_eq!(spec.store_url, "s3://bucket/here");
    let JobKind::Ingest(ingest) = &spec.jobs[0].kind else { panic!() };
    assert_eq!(ingest.inputs, ["/else/images", "/more/manifest.csv"]);

    let overrides = Overrides { inputs: vec!["/mine".into()], ..Default::default() };
    let spec = parse(SOUND, Path::new("/jobs"), &overrides).unwrap();
    let JobKind::Ingest(ingest) = &spec.jobs[0].kind else { panic!() };
    assert_eq!(ingest.inputs, ["/mine"]);
}

#[test]
fn an_unknown_key_a_wrong_type_and_a_broken_rule_are_named_together() {
    let faults = faults_of(&[
        ("epochs = 20", "epohcs = 20"),
        ("slots = 2", "slots = \"two\""),
        ("batch = 32", "batch = 0"),
        ("global_batch = 64", "global_batch = 63"),
    ]);
    assert_eq!(
        faults,
        [
            "11: `pretrain.epohcs` is not a known key, did you mean `epochs`? (known here: `epochs`, `global_batch`, \
             `lanes`, `slots`, `min_slots`, `learning_rate`, `weight_decay`, `warmup_epochs`, `clip_norm`, `seed`, `checkpoints`, `exclude_stragglers`, `device`, \
             `node_labels`, \
             `modalities`, `sources`)",
            "12: `pretrain.global_batch` is 63, expected a multiple of `lanes` = 8",
            "13: `pretrain.slots` is a string \"two\", expected a whole number of 0 or more",
            "19: `finetune[0].batch` is 0, expected at least 1",
        ]
    );
}

/// As many sorts as there are: misspelt keys and words, types, what is absent, names, rules within a job and between jobs.
#[test]
fn ten_mistakes_are_told_at_once_with_what_was_meant() {
    let faults = faults_of(&[
        ("name = \"demo\"", "name = \"Demo\""),
        ("image_size = 64", "image_size = 64\nfit = \"strech\"\npercentiles = [99, 1]"),
        ("size = \"tiny\"", "size = \"tiny\"\nmask_ratio = 2"),
        ("epochs = 20", "epohcs = 20"),
        ("slots = 2", "slots = \"two\""),
        ("global_batch = 64", "global_batch = 63"),
        ("learning_rate = 1e-3\n", ""),
        ("modalities = [\"CT\", \"us\"]", "modalities = [\"CT\", \"usx\"]"),
        ("init = \"random\"", "init = \"randon\"\nlabel_fraction = 0"),
        ("name = \"scratch\"", "name = \"classify\""),
    ]);
    let told = faults.join("\n");
    for expected in [
        "`name` is `Demo`, expected 1 to 48 of",
        "`corpus.fit` is `strech`, expected one of `stretch`, `pad`, `crop`, did you mean `stretch`?",
        "`corpus.percentiles` is [99, 1], expected two percentiles",
        "`model.mask_ratio` is 2, expected a share between 0 and 1",
        "`pretrain.epohcs` is not a known key, did you mean `epochs`?",
        "`pretrain.slots` is a string \"two\"",
        "`pretrain.global_batch` is 63, expected a multiple of `lanes` = 8",
        "`pretrain.learning_rate` is absent",
        "`finetune[0].modalities[1]` is `USX`, expected one of `CT`, `MR`, `PET`, `XR`, `US`, did you mean `US`?",
        "`finetune[1].name` job name `classify` is used twice",
        "`finetune[1].init` is `randon`, expected one of `pretrain`, `random`, did you mean `random`?",
        "`finetune[1].label_fraction` is 0, expected a share above 0",
    ] {
        assert!(told.contains(expected), "no {expected} in:\n{told}");
    }
    assert_eq!(faults.len(), 12, "and nothing else:\n{told}");
}

#[test]
fn faults_are_told_in_the_words_of_the_file() {
    for (changes, expected) in [
        (
            &[("name = \"demo\"", "name = \"Demo\"")][..],
            &[
                "2: `name` is `Demo`, expected 1 to 48 of a-z, 0-9 and `-`, beginning with a letter and not ending in `-`",
            ][..],
        ),
        (
            &[("learning_rate = 1e-3\n", "")],
            &["10: `pretrain.learning_rate` is absent, expected a value: it has no default"],
        ),
        (
            &[("size = \"tiny\"", "size = \"tny\"")],
            &["9: `model.size` is `tny`, expected one of `tiny`, `base`, did you mean `tiny`?"],
        ),
        (
            &[("size = \"tiny\"", "size = \"base\"")],
            &["8: `model.image_size` is 224, expected 64 as in `corpus.image_size`"],
        ),
        (
            &[("size = \"tiny\"", "size = \"tiny\"\nheads = [2, 4, 7]")],
            &["10: `model.heads` has 7 heads at width 128, expected a divisor of the width"],
        ),
        (
            &[("\"CT\", \"us\"", "\"CT\", \"CAT\"")],
            &[
                "21: `finetune[0].modalities[1]` is `CAT`, expected one of `CT`, `MR`, `PET`, `XR`, `US`, did you mean `CT`?",
            ],
        ),
        (
            &[("name = \"scratch\"", "name = \"classify\"")],
            &["23: `finetune[1].name` job name `classify` is used twice, expected a name of its own for each job"],
        ),
        (
            &[("image_size = 64", "image_size = 64\nct_windows = [[1.0]]")],
            &["8: `corpus.ct_windows[0]` has 1 items, expected 2"],
        ),
        (
            &[("image_size = 64", "image_size = 64\nct_windows = [-160, 240]")],
            &[
                "8: `corpus.ct_windows[0]` is a negative number `-160`, expected a list",
                "8: `corpus.ct_windows[1]` is a whole number of 0 or more `240`, expected a list",
            ],
        ),
        (
            &[("image_size = 64", "image_size = 64\nct_windows = []")],
            &["8: `corpus.ct_windows` holds 0 windows, expected 1 to 8"],
        ),
        (
            &[("image_size = 64", "image_size = 64\nct_windows = [\n[0, 80],\n[9, 1],\n[0, 80],\n]")],
            &[
                "10: `corpus.ct_windows[1]` is [9, 1], expected the lower bound first",
                "11: `corpus.ct_windows[2]` is [0, 80], as `[0]` is: expected each window once",
            ],
        ),
        (
            &[("image_size = 64", "image_size = 64\nxray_range = \"window\"")],
            &["8: `corpus.xray_range` is `window`, expected one of `voi`, `percentiles`"],
        ),
        (
            &[("store = \"/data/store\"\n", "")],
            &["0: `store` is absent, expected a folder or an object-store URL here or with `--store`"],
        ),
        (
            &[("epochs = 20", "epochs = 2\nwarmup_epochs = 3")],
            &["12: `pretrain.warmup_epochs` is 3, expected 0 to the number of epochs, 2"],
        ),
        (
            &[("epochs = 20", "epochs = 0.5\nwarmup_epochs = 3")],
            &["11: `pretrain.epochs` is a number `0.5`, expected a whole number of 0 or more"],
        ),
        (
            &[("epochs = 20", "epochs = 20\ncheckpoints = { every = 0, latest = 0, younger_than = \"old\" }")],
            &[
                "12: `pretrain.checkpoints.younger_than` is `old`, expected a time such as `12h` or `90m`: expected number at 0",
                "12: `pretrain.checkpoints.every` is 0, expected at least 1",
                "12: `pretrain.checkpoints.latest` is 0, expected at least 1",
            ],
        ),
        (&[("epochs = 20", "epochs = inf")], &["11: `pretrain.epochs` is not finite, expected a finite number"]),
        (
            &[("[pretrain]", "[pretraining]")],
            &[
                "10: `pretraining` is not a known key, did you mean `pretrain`? (known here: `name`, `store`, `priority`, `namespace`, `suspended`, `deadline`, `corpus`, `model`, `pretrain`, `finetune`)",
            ],
        ),
    ] {
        assert_eq!(faults_of(changes), expected, "{changes:?}");
    }
}

#[test]
fn a_fine_tune_needs_the_pre_training_it_starts_from() {
    let (before, rest) = SOUND.split_once("[pretrain]").unwrap();
    let (_, after) = rest.split_once("[[finetune]]").unwrap();
    assert_eq!(
        read(&format!("{before}[[finetune]]{after}")).unwrap_err(),
        ["10: `finetune[0].init` is `pretrain`, but there is no `[pretrain]`; expected that table, or `random`"]
    );
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    let faults = faults_of(&[("epochs = 20", "epochs = ")]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("11: "), "{faults:?}");
}

#[test]
fn an_input_that_is_absent_here_is_a_fault_only_where_it_would_be_read() {
    let local = Overrides { inputs_are_local: true, ..Overrides::default() };
    let faults = parse(SOUND, Path::new("/no-such-folder"), &local).unwrap_err();
    let places: Vec<String> = faults.iter().map(|fault| fault.place.to_string()).collect();
    assert_eq!(places, ["corpus.inputs[0]", "corpus.inputs[1]"]);
}

#[test]
fn an_empty_file_names_what_it_lacks() {
    let faults = read("").unwrap_err();
    assert_eq!(
        faults,
        [
            "0: `name` is absent, expected a value: it has no default",
            "0: `corpus` is absent, expected a value: it has no default",
            "0: `store` is absent, expected a folder or an object-store URL here or with `--store`",
            "0: no job is described, expected `corpus.inputs`, `[pretrain]` or `[[finetune]]`",
        ]
    );
}

#[test]
fn a_namespace_is_default_unless_the_file_or_the_command_line_says_otherwise() {
    let namespace = |text: &str, given: Option<&str>| {
        let namespace = given.map(|name| NamespaceName::new(name).unwrap());
        let overrides = Overrides { namespace, ..Overrides::default() };
        parse(text, Path::new("/jobs"), &overrides).unwrap().namespace.to_string()
    };
    let named = SOUND.replacen("store = ", "namespace = \"radiology\"\nstore = ", 1);
    assert_eq!(namespace(SOUND, None), "default");
    assert_eq!(namespace(&named, None), "radiology");
    assert_eq!(namespace(&named, Some("oncology")), "oncology");
    let faults = faults_of(&[("store = ", "namespace = \"Radiology\"\nstore = ")]);
    assert!(faults[0].starts_with("3: `namespace` is `Radiology`, expected 1 to 48 of a-z"), "{faults:?}");
}

#[test]
fn a_job_says_which_slots_it_may_use_and_how_few_will_do() {
    let spec = read(&SOUND.replacen(
        "slots = 2",
        "slots = 4\nmin_slots = 2\ndevice = \"cuda\"\nnode_labels = {zone = \"a\"}",
        1,
    ))
    .unwrap();
    let Placement { device, labels } = &spec.jobs[1].placement;
    assert_eq!((*device, labels["zone"].as_str()), (Some(DeviceKind::Cuda), "a"));
    assert_eq!(spec.jobs[1].kind.demand(), Demand::Group { at_least: 2, at_most: 4 });
    assert!(spec.jobs[0].placement.is_open() && read(SOUND).unwrap().jobs[1].kind.demand() == Demand::group(2));
    let faults =
        faults_of(&[("slots = 2", "slots = 2\nmin_slots = 3\ndevice = \"tpu\"\nnode_labels = {zone = \"a b\"}")]);
    assert_eq!(
        faults,
        [
            "14: `pretrain.min_slots` is 3, expected 1 to `slots` = 2",
            "15: `pretrain.device` is `tpu`, expected one of `cpu`, `cuda`, `any`, did you mean `cpu`?",
            "16: `pretrain.node_labels` holds `zone=a b`, expected a key and a value of at most 63 letters, digits, `-`, `_`, `.` and `/`",
        ]
    );
}

#[test]
fn a_deadline_is_a_time_as_people_write_it() {
    let spec = read(&SOUND.replacen("store = ", "deadline = \"1h 30m\"\nsuspended = true\nstore = ", 1)).unwrap();
    assert_eq!((spec.deadline, spec.suspended), (Some(Duration::from_secs(5400)), true));
    let faults = faults_of(&[("store = ", "deadline = \"soon\"\nstore = ")]);
    assert!(faults[0].starts_with("3: `deadline` is `soon`, expected a time such as `12h` or `90m`"), "{faults:?}");
    let faults = faults_of(&[("store = ", "deadline = \"1ms\"\nstore = ")]);
    assert_eq!(faults, ["3: `deadline` is 0.001 s, expected from 1 s to 1000 days"]);
}

#[test]
fn a_priority_out_of_range_is_refused_where_it_stands_and_can_be_replaced() {
    let faults = faults_of(&[("store = ", "priority = 5000\nstore = ")]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("`priority` is 5000, expected -1000 to 1000"), "{faults:?}");
    let overrides = Overrides { priority: Some(-3), ..Overrides::default() };
    assert_eq!(parse(SOUND, Path::new("/jobs"), &overrides).unwrap().priority, -3);
}

/// The second fine-tune of the sound file, with lists in it.
const SWEPT: (&str, &str) = (
    "init = \"random\"",
    "init = [\"pretrain\", \"random\"]\nlabel_fraction = [0.1, 0.025, 1]\nseed = [1, 2]\nmodalities = [[\"CT\", \"MR\"], []]",
);

#[test]
fn lists_in_a_fine_tune_make_a_job_of_each_combination() {
    let spec = read(&SOUND.replacen(SWEPT.0, SWEPT.1, 1)).unwrap();
    let names: Vec<&str> = spec.jobs.iter().skip(3).map(|job| job.name.as_str()).collect();
    assert_eq!(names.len(), 24);
    assert_eq!(
        names[..3],
        ["scratch-pretrain-f10-ct-mr-s1", "scratch-pretrain-f10-ct-mr-s2", "scratch-pretrain-f10-all-s1"]
    );
    assert_eq!((names[4], names[23]), ("scratch-pretrain-f2-5-ct-mr-s1", "scratch-random-f100-all-s2"));
    let JobKind::Finetune(last) = &spec.jobs[26].kind else { panic!() };
    assert_eq!((last.label_fraction, last.seed, &last.initialisation), (1.0, 2, &Initialisation::Random));
    assert!(last.selection.modalities.is_empty());
    // A list of one value is a list: the names stay when it grows.
    let spec = read(&SOUND.replacen("init = \"random\"", "init = \"random\"\nseed = [7]", 1)).unwrap();
    assert_eq!(spec.jobs[3].name.as_str(), "scratch-s7");
}

#[test]
fn what_is_wrong_with_a_list_is_told_where_it_stands() {
    let faults = |list: &str| faults_of(&[(SWEPT.0, list)]);
    assert_eq!(
        faults("label_fraction = [0.5, 0, 2]\nseed = [1, -1, \"x\"]"),
        [
            "25: `finetune[1].label_fraction[1]` is 0, expected a share above 0 and at most 1",
            "25: `finetune[1].label_fraction[2]` is 2, expected a share above 0 and at most 1",
            "26: `finetune[1].seed[1]` is a negative number `-1`, expected a whole number of 0 or more",
            "26: `finetune[1].seed[2]` is a string \"x\", expected a whole number of 0 or more",
        ]
    );
    assert_eq!(
        faults("seed = []"),
        ["25: `finetune[1].seed` is an empty list, expected a value, or a list of values for a job each"]
    );
    assert_eq!(
        faults("modalities = [\"CT\", [\"MR\"]]"),
        ["25: `finetune[1].modalities` holds modalities and lists of them, expected one or the other"]
    );
    assert_eq!(
        faults("seed = [3, 3]"),
        ["23: `finetune[1].name` job name `scratch-s3` is used twice, expected a name of its own for each job"]
    );
    let many: Vec<String> = (0..2000).map(|seed| seed.to_string()).collect();
    assert_eq!(
        faults(&format!("seed = [{}]", many.join(", "))),
        ["22: `finetune[1]` describes 2000 jobs, 2003 with those before it; expected at most 1000 in a pipeline"]
    );
    let long = faults_of(&[("name = \"scratch\"", &format!("name = \"{}\"\nseed = [1]", "a".repeat(46)))]);
    assert_eq!(long.len(), 1, "{long:?}");
    assert!(
        long[0].contains("`finetune[1].name` makes a job `aaa") && long[0].contains("of 49 characters"),
        "{long:?}"
    );
}
