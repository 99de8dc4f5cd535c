//! The `hostwright` program.
fn main() {
    if let Ok(files) = hostwright::api::crds::files() {
        for file in files {
            println!("---\n{}", file.text);
        }
    }
}
