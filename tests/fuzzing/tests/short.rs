//! Some inputs for each target; `tests/fuzz` goes further.

use std::thread;

use tandem_fuzz::{run, targets};

/// Seconds in all in a debug build.
const INPUTS: u64 = 20_000;

#[test]
fn no_input_breaks_a_promise() {
    let (even, odd): (Vec<_>, Vec<_>) = targets::all()
        .into_iter()
        .enumerate()
        .partition(|(number, _)| number % 2 == 0);
    let play = |targets: Vec<(usize, tandem_fuzz::Target)>| {
        for (_, target) in targets {
            let ran = run(&target, 1, INPUTS).expect("the folder for temporary files is writable");
            println!(
                "{:<26} {} outcomes, {:.1} s",
                target.name,
                ran.outcomes,
                ran.took.as_secs_f64()
            );
            let told: Vec<String> = ran
                .failures
                .iter()
                .map(|failure| {
                    let file = failure.file.display();
                    format!(
                        "{}\n  tests/fuzz --target {} --input {file}",
                        failure.said, target.name
                    )
                })
                .collect();
            assert!(told.is_empty(), "{}", told.join("\n"));
            assert!(ran.outcomes > 1, "{} sees one outcome only", target.name);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| play(even));
        scope.spawn(|| play(odd));
    });
}
