//! Runs a test of this binary as a child whose file operations are recorded or made to fail.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const CHILD_DEADLINE: Duration = Duration::from_secs(60);

/// The recorder, built for this test.
pub struct Recorder {
    library: PathBuf,
}

impl Recorder {
    /// Builds the recorder in `folder` with the C compiler that Rust links with.
    pub fn build(folder: &Path) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/recorder.c");
        let library = folder.join("recorder.so");
        let built = Command::new("cc")
            .args(["-Wall", "-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("the power cut test needs a C compiler named cc");
        assert!(built.success());
        Self { library }
    }

    /// Runs the ignored test `name` of this binary with `variables`, recording what happens below
    /// `root` (which ends with a slash) into `trace`.
    pub fn run(
        &self,
        name: &str,
        root: &Path,
        trace: &Path,
        variables: &[(&str, String)],
    ) -> ExitStatus {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                name,
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("LD_PRELOAD", &self.library)
            .env("RECORDER_ROOT", root)
            .env("RECORDER_TRACE", trace)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + CHILD_DEADLINE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("{name} did not end: {:?}", child.wait());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether a child ended as it does when it is killed.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}
