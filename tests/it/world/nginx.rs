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
        send_signal(pid.trim().parse().unwrap(), "HUP");
        let mark = generation(location);
        until("nginx reads its configuration", SLOW, async || {
            let answer = self.get("/generation").try_send().await;
            answer.is_ok_and(|answer| answer.text() == mark)
        })
        .await;
    }

    async fn until_nginx_answers(&self) {
        until("nginx answers", SLOW, async || {
            self.get("/generation").try_send().await.is_ok()
        })
        .await;
    }

    fn write_nginx(&self, location: &str) {
        let (dir, https, plain) = (self.dir.display(), self.https, self.plain);
        let mark = generation(location);
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
                location = /generation {{ return 200 {mark}; }}
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

/// Tells one configuration from another.
fn generation(location: &str) -> String {
    let sum = location.bytes().fold(7_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    format!("g{sum}")
}
