//! A front proxy as sites have one: nginx, which ends TLS and speaks plain HTTP to Vestibule.

use std::{
    fs,
    process::{Command, Stdio},
};

use super::{SLOW, World, lock, send_signal, until};

/// What a site writes so that everything passes.
pub const GOOD: &str = r#"
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
"#;

impl World {
    /// Puts nginx where Vestibule listened for HTTPS, and Vestibule behind it.
    pub async fn stand_behind_nginx(&self, location: &str) {
        self.configure(&format!(
            "[listen]\nhttps = []\nhttp = []\nplain = [\"{}\"]\ntrusted_proxies = [\"127.0.0.1\"]",
            self.plain
        ));
        self.write_nginx(location);
        let log = fs::File::create(self.dir.join("nginx.log")).unwrap();
        let child = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(self.dir.join("nginx.conf"))
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("no nginx; run tests/setup.sh nginx");
        fs::write(self.dir.join("nginx.pid"), child.id().to_string()).unwrap();
        lock(&self.children).push(child);
        self.until_nginx_answers().await;
    }

    /// Has it do something else from now on.
    pub async fn reconfigure_nginx(&self, location: &str) {
        self.write_nginx(location);
        let pid = fs::read_to_string(self.dir.join("nginx.pid")).unwrap();
        let pid: u32 = pid.trim().parse().unwrap();
        let old = workers(pid);
        send_signal(pid, "HUP");
        until("nginx goes on with other workers alone", SLOW, async || {
            let now = workers(pid);
            !now.is_empty() && old.iter().all(|worker| !now.contains(worker))
        })
        .await;
        self.until_nginx_answers().await;
    }

    async fn until_nginx_answers(&self) {
        until("nginx answers", SLOW, async || {
            self.get("/here").try_send().await.is_ok()
        })
        .await;
    }

    fn write_nginx(&self, location: &str) {
        let (dir, https, plain) = (self.dir.display(), self.https, self.plain);
        let text = format!(
            "daemon off; worker_processes 1; pid {dir}/nginx.own; user root;
            events {{ worker_connections 64; }}
            http {{
              access_log off;
              client_body_temp_path {dir}/nginx-body; proxy_temp_path {dir}/nginx-proxy;
              fastcgi_temp_path {dir}/nginx-f; uwsgi_temp_path {dir}/nginx-u; scgi_temp_path {dir}/nginx-s;
              server {{
                listen {https} ssl;
                ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
                location = /here {{ return 204; }}
                location / {{
                  proxy_pass http://{plain};
                  proxy_http_version 1.1;
                  {location}
                }}
              }}
            }}"
        );
        fs::write(self.dir.join("nginx.conf"), text).unwrap();
    }
}

/// The processes that serve for this one (`children` of proc(5)).
fn workers(pid: u32) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(str::to_owned).collect()
}
