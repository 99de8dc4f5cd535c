//! A container: a root file system and the namespaces in which its processes live.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::lab::{Place, until};

/// The container's number.
pub const NUMBER: u32 = 907;
/// Its address.
pub const ADDRESS: &str = "10.213.0.7";
/// Place of the session in `/proc/<pid>/stat` after the name: state, parent, group, session.
const SESSION_FIELD: usize = 3;

/// The only container of a lab. It is switched off and on, as by a power cut; its files stay.
pub struct Container {
    lab: PathBuf,
    process: Option<Child>,
}

fn kill(processes: &[String]) {
    // One that ended by itself meanwhile is as good.
    let _ = Command::new("kill")
        .arg("-KILL")
        .args(processes)
        .stderr(Stdio::null())
        .status();
}

fn is_alive(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    fields(&stat)
        .first()
        .is_some_and(|state| *state != "Z" && *state != "X")
}

/// What follows the name, which may have spaces, in a process' `stat`: state, parent, group, session …
fn fields(stat: &str) -> Vec<&str> {
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    rest.split_whitespace().collect()
}

impl Container {
    /// Makes one as a template gives it, and starts it.
    pub async fn create(place: &Place) -> Self {
        let mut container = Self {
            lab: place.folder.clone(),
            process: None,
        };
        std::fs::create_dir(container.root()).unwrap();
        let status = Command::new("tar")
            .args(["--extract", "--file"])
            .arg(place.origin.join("root.tar"))
            .arg("--directory")
            .arg(container.root())
            .status()
            .unwrap();
        assert!(status.success(), "the root could not be unpacked");
        container.start().await;
        container
    }

    /// Its root, seen from outside.
    pub fn root(&self) -> PathBuf {
        self.lab.join(NUMBER.to_string())
    }

    /// A file of its, as text; nothing when there is none.
    pub fn read(&self, path: &str) -> String {
        let bytes = std::fs::read(self.root().join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Number of its first process; empty while it does not run.
    fn first_process(&self) -> String {
        let written = std::fs::read_to_string(self.lab.join(format!("{NUMBER}.pid"))).unwrap_or_default();
        // A line that has its end is whole.
        written.strip_suffix('\n').unwrap_or_default().to_owned()
    }

    /// Switches it on; nothing runs in it then.
    pub async fn start(&mut self) {
        let process = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/wordpress/container.sh"
        ))
        .arg(&self.lab)
        .arg(NUMBER.to_string())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
        self.process = Some(process);
        until("the container runs", || !self.first_process().is_empty()).await;
    }

    /// Cuts its power: every process of its is gone at once.
    pub async fn power_off(&mut self) {
        kill(&[self.first_process()]);
        if let Some(mut process) = self.process.take() {
            process.wait().unwrap();
        }
        std::fs::remove_file(self.lab.join(format!("{NUMBER}.pid"))).unwrap();
        until("its interface is gone", || !has_interface()).await;
    }

    /// Forgets the session of the last command of `pct`.
    pub fn forget_session(&self) {
        let _ = std::fs::remove_file(self.session());
    }

    fn session(&self) -> PathBuf {
        self.lab.join(format!("{NUMBER}.session"))
    }

    /// Kills everything that the command of `pct` started since, except what became a daemon.
    pub async fn kill_session(&self) {
        until("a session begins", || {
            std::fs::read_to_string(self.session()).is_ok_and(|it| it.ends_with('\n'))
        })
        .await;
        let session = std::fs::read_to_string(self.session()).unwrap();
        until("the session is over", || {
            let alive = members(session.trim());
            if !alive.is_empty() {
                kill(&alive);
            }
            alive.is_empty()
        })
        .await;
    }

    /// Runs a command in it and gives its standard output.
    pub fn run(&self, command: &[&str]) -> String {
        let output = self.command(command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {} {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command in it.
    pub fn command(&self, command: &[&str]) -> Command {
        let mut enter = Command::new("nsenter");
        enter
            .args(["--target", &self.first_process()])
            .args(["--mount", "--pid", "--net", "--uts", "--ipc", "--"])
            .args(["/usr/bin/env", "--ignore-environment", "--chdir=/"])
            .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
            .args(command)
            .stdin(Stdio::null());
        enter
    }

    /// Rows that the database's own administrator gets, columns separated by tabs.
    pub fn sql(&self, question: &str) -> Vec<String> {
        let answer = self.run(&["mariadb", "--batch", "--skip-column-names", "--execute", question]);
        answer.lines().map(str::to_owned).collect()
    }
}

/// Whether the host's end of its cable is there.
fn has_interface() -> bool {
    let mut show = Command::new("ip");
    show.args(["link", "show", &format!("ct{NUMBER}")]);
    show.stdout(Stdio::null()).stderr(Stdio::null());
    show.status().unwrap().success()
}

/// Living processes of a session.
fn members(session: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|name| {
            let stat = std::fs::read_to_string(format!("/proc/{name}/stat")).unwrap_or_default();
            fields(&stat).get(SESSION_FIELD).is_some_and(|it| *it == session) && is_alive(name)
        })
        .collect()
}
