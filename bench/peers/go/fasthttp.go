// fasthttp: GET /ping -> ok. Logs nothing and keeps connections open; GOMAXPROCS is set by who starts it.
//
// net.Listen sets TCP_NODELAY on what it accepts. The date stays on, since all others send one; the server's name is off.
package main

import (
	"flag"
	"log"

	"github.com/valyala/fasthttp"
)

var body = []byte("ok")

func answer(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) != "/ping" {
		ctx.Error("not found", fasthttp.StatusNotFound)
		return
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBody(body)
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	server := &fasthttp.Server{
		Handler:               answer,
		Concurrency:           100000,
		NoDefaultServerHeader: true,
	}
	log.Fatal(server.ListenAndServe(*addr))
}
