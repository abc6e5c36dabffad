//! A Kubernetes to try things on: a node that runs pods, the manifests with the images of this checkout, a broker and an
//! S3 server that pods reach. Prints how to use it, and takes all of it away at Ctrl-C or when its input ends.

use harness::cluster::HOST;
use harness::desk::Desk;
use harness::s3::{ACCESS_KEY, SECRET_KEY};

fn main() {
    eprintln!("cluster: starting Kubernetes, Apache Kafka and an S3 server (about half a minute)");
    let Some(desk) = Desk::start() else { std::process::exit(1) };
    let Desk { cluster, kafka, s3, .. } = &desk;
    cluster.install_manifests(&[]);
    println!("export KUBECONFIG={} PATH={}:$PATH", cluster.kubeconfig().display(), cluster.programs().display());
    println!("# brokers: {}", kafka.bootstrap());
    println!("# store: http://{HOST}:{} bucket archive, {ACCESS_KEY} / {SECRET_KEY}", s3.port());
    println!("# Ctrl-C takes it all away");
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {}
}
