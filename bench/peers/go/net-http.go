// Go's net/http: GET /ping -> ok. Logs nothing and keeps connections open; GOMAXPROCS is set by who starts it.
//
// net.Listen sets TCP_NODELAY on what it accepts, and net/http writes the date.
package main

import (
	"flag"
	"io"
	"log"
	"net/http"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "ok")
	})
	log.Fatal(http.ListenAndServe(*addr, mux))
}
