//! Reports of made-up pipelines, read back from the store.

pub(super) mod fixture;

use fixture::{jobs, put_demo, put_results, put_sweep};
use vismae_shards::runs::{Results, RunPaths};
use vismae_shards::store::Store;

use super::{ReportError, ReportLocation, write};

const CLASSES: [&str; 3] = ["smooth", "spiculated", "ring"];

async fn demo(classes: &[&str], source: &str) -> (Store, ReportLocation, String) {
    let store = Store::open("memory://").unwrap();
    put_demo(&store, classes, source).await;
    let location = write(&store, "demo", &jobs()).await.unwrap();
    let page = String::from_utf8(store.get(&location.page).await.unwrap().to_vec()).unwrap();
    (store, location, page)
}

/// The values of an attribute, wherever it occurs.
fn values<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let opening = format!(" {attribute}=\"");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself() {
    let (_, location, page) = demo(&CLASSES, "phantom").await;
    assert_eq!(location.page, "runs/demo/report.html");
    assert!(values(&page, "src").len() >= 60, "every reconstruction is in the page");
    assert!(values(&page, "src").iter().all(|uri| uri.starts_with("data:image/png;base64,")));
    assert!(values(&page, "href").iter().all(|uri| uri.starts_with("data:image/png;base64,") || uri.starts_with('#')));
    for forbidden in ["<script", "<link", "@import", "url(", "<iframe"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn the_page_shows_the_figures_of_every_kind_of_run() {
    let (_, _, page) = demo(&CLASSES, "phantom").await;
    let charts = [
        "Loss",
        "Throughput",
        "Gradient norm",
        "Learning rate",
        "ROC, mean of classes",
        "ROC, ring",
        "Confusion, classify-scratch",
        "Dice of single frames",
        "Fine-tuning loss",
        "Overlays, segment",
    ];
    for title in charts {
        assert!(page.contains(&format!("<h4>{title}</h4>")), "{title}");
    }
    let words = ["1\u{202f}234\u{202f}567", "0.91 → 0.064", "phantom", "spiculated", "best of all", "mask-shape"];
    for word in words {
        assert!(page.contains(word), "{word}");
    }
    for modality in ["CT", "MR", "PET", "XR", "US"] {
        assert!(page.contains(&format!("<h5>{modality}</h5>")), "{modality}");
    }
}

#[tokio::test]
async fn two_classes_share_one_curve() {
    let (_, _, page) = demo(&["benign", "malignant"], "phantom").await;
    assert!(page.contains("<h4>ROC, malignant</h4>"));
    assert!(!page.contains("ROC, benign") && !page.contains("mean of classes"));
}

#[tokio::test]
async fn tables_lie_beside_the_page_with_all_their_digits() {
    let (store, location, page) = demo(&CLASSES, "phantom").await;
    let names: Vec<&str> = location.tables.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    let expected = [
        "pretraining.csv",
        "classification.csv",
        "classification-by-class.csv",
        "confusion.csv",
        "roc.csv",
        "losses.csv",
        "segmentation.csv",
        "segmentation-by-modality.csv",
        "dice.csv",
        "corpus.csv",
        "quarantine.csv",
        "settings.csv",
    ];
    assert_eq!(names, expected);
    let path = location.tables.iter().find(|path| path.ends_with("/classification.csv")).unwrap();
    let bytes = store.get(path).await.unwrap();
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[0][0], &rows[1][1]), (2, "classify", "random weights"));
    let auc: f64 = rows[0][2].parse().unwrap();
    assert!(page.contains(&format!("<strong>{auc:.3}</strong>")), "the tile shows the AUC of the table");
}

#[tokio::test]
async fn names_of_files_and_classes_are_words_and_never_markup() {
    let hostile = "<script>alert(\"1\")</script>";
    let (_, _, page) = demo(&[hostile, "b&b", "c"], "\"><img src=x onerror=alert(1)>").await;
    assert!(!page.contains("<script") && !page.contains("<img src=x"));
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;") && page.contains("b&amp;b"));
}

#[tokio::test]
async fn a_job_without_results_is_shown_as_such() {
    let store = Store::open("memory://").unwrap();
    put_demo(&store, &CLASSES, "phantom").await;
    let mut jobs = jobs();
    jobs.push("demo.lost".to_owned());
    let location = write(&store, "demo", &jobs).await.unwrap();
    let page = String::from_utf8(store.get(&location.page).await.unwrap().to_vec()).unwrap();
    assert!(page.contains("<li class=\"absent\"><b>lost</b><span>no results"));
    assert_eq!(page.matches("<li class=\"done\">").count(), 6);
}

#[tokio::test]
async fn what_a_pipeline_lacks_is_said() {
    let store = Store::open("memory://").unwrap();
    put_demo(&store, &CLASSES, "phantom").await;
    let location = write(&store, "demo", &["demo.segment-scratch".to_owned()]).await.unwrap();
    let page = String::from_utf8(store.get(&location.page).await.unwrap().to_vec()).unwrap();
    let notes = ["no pre-training with results", "no classification with results", "do not name the corpus"];
    for note in notes {
        assert!(page.contains(note), "{note}");
    }
    assert!(page.contains("random weights; no pre-trained run beside it"));
}

#[tokio::test]
async fn a_run_without_a_single_number_is_still_drawn() {
    let store = Store::open("memory://").unwrap();
    put_demo(&store, &CLASSES, "phantom").await;
    let path = RunPaths::new("demo.segment").results();
    let Results::Segment(mut empty) = serde_json::from_slice(&store.get(&path).await.unwrap()).unwrap() else {
        panic!()
    };
    empty.overlays.clear();
    empty.dice_per_image.clear();
    empty.losses.clear();
    empty.dice_by_modality.clear();
    (empty.dice, empty.val_dice) = (None, None);
    put_results(&store, "demo.segment", &Results::Segment(empty)).await;
    let location = write(&store, "demo", &["demo.segment".to_owned()]).await.unwrap();
    let page = String::from_utf8(store.get(&location.page).await.unwrap().to_vec()).unwrap();
    assert!(page.contains("No test frame has a mask to compare with."));
}

#[tokio::test]
async fn a_pipeline_without_results_is_an_error_that_says_where_they_were_sought() {
    let store = Store::open("memory://").unwrap();
    let error = write(&store, "demo", &["demo.ingest".to_owned(), "demo.a".to_owned()]).await.unwrap_err();
    assert!(matches!(error, ReportError::NoResults { .. }));
    let message = error.to_string();
    assert!(message.contains("`demo`") && message.contains("runs/demo.a/results.json"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_nothing_is_written() {
    let broken = [
        ("runs/demo.classify/results.json", "{\"task\": \"classify\", \"job\": 7}"),
        ("runs/demo.pretrain/metrics/steps.csv", "step,epoch\n1,2\n"),
        ("runs/demo.pretrain/figures/ct-0-masked.pgm", "P6"),
        ("corpora/phantom/quarantine/000001.parquet", "PAR0"),
        ("corpora/phantom/manifests/000001.json", "{"),
    ];
    for (path, bytes) in broken {
        let store = Store::open("memory://").unwrap();
        put_demo(&store, &CLASSES, "phantom").await;
        store.put(path, bytes.as_bytes().to_vec()).await.unwrap();
        let error = write(&store, "demo", &jobs()).await.unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
        assert!(store.list("runs/demo").await.unwrap().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn the_same_store_gives_the_same_page() {
    let (store, location, page) = demo(&CLASSES, "phantom").await;
    write(&store, "demo", &jobs()).await.unwrap();
    assert_eq!(store.get(&location.page).await.unwrap(), page.as_bytes());
}

#[tokio::test]
async fn repeated_runs_are_shown_by_their_mean_and_spread_and_one_of_each_series_in_full() {
    let store = Store::open("memory://").unwrap();
    let jobs = put_sweep(&store, &CLASSES).await;
    let location = write(&store, "demo", &jobs).await.unwrap();
    let read = async |path: &str| String::from_utf8(store.get(path).await.unwrap().to_vec()).unwrap();
    let page = read(&location.page).await;
    assert!(page.contains("<h4>Label efficiency</h4>"));
    // Of each two with the most labels, and not the better or the first of them.
    let tile = "<dt>AUC, sweep-pretrain</dt><dd><strong>0.850</strong>\
                <span>mean of 2 seeds, pre-trained; 0.425 from random weights (+0.425)</span></dd>";
    assert!(page.contains(tile), "{}", &page[page.find("class=\"tiles\"").unwrap()..][..600]);
    let table = read("runs/demo/tables/classification-by-labels.csv").await;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..5], ["runs", "first weights", "labels", "seeds", "mean AUC"]);
    let begins: Vec<(&str, &str, &str)> = rows[1..].iter().map(|row| (row[0], row[2], row[3])).collect();
    let series = |name| [(name, "0.1", "2"), (name, "0.5", "2"), (name, "0.8", "2")];
    assert_eq!(begins, [series("sweep-pretrain"), series("sweep-random")].concat());
    let number = |row: usize, column: usize| rows[row][column].parse::<f64>().unwrap();
    // Two scores that lie 0.1 apart: their deviation is that by the square root of two.
    for (column, expected) in [(4, 0.15), (5, 0.1 / 2.0_f64.sqrt()), (6, 0.1), (7, 0.2)] {
        assert!((number(1, column) - expected).abs() < 1e-9, "{column}: {table}");
    }
    assert!((number(6, 4) - 0.425).abs() < 1e-9, "{table}");
    let single = read("runs/demo/tables/classification-by-seed.csv").await;
    assert_eq!(single.lines().count(), 13, "{single}");
    for (run, times) in [("sweep-pretrain-f80-s1", 1), ("sweep-random-f80-s1", 1), ("sweep-pretrain-f10-s1", 0)] {
        assert_eq!(page.matches(&format!("<h4>Confusion, {run}</h4>")).count(), times, "{run}");
    }
}
