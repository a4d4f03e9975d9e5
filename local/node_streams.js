// What the Node runtime of Lambda has and MiniStack's worker lacks: the global `awslambda`. Put into the worker's script
// by local/gaps/function_urls.py, which also defines END_OF_LOG and HOST_ONLY before it.
//
// A frame is one line of JSON: {"status": "stream", "type": …} names the payload's content type, {"status": "stream",
// "data": base64} are bytes of it, {"status": "stream", "end": true} is its end. A streaming invocation is over when its
// handler has returned and its stream has ended: a handler that never ends it runs into the time-out.
for (const name of HOST_ONLY) delete process.env[name];
const { Writable } = require("stream");
const STREAMS = Symbol("streams");

class ResponseStream extends Writable {
  constructor() {
    super({ highWaterMark: 64 * 1024, decodeStrings: true });
    this.prelude = null;
    this.began = false;
  }

  setContentType(type) {
    if (this.began) throw new Error("Cannot set content-type, too late.");
    frame({ type });
  }

  _write(chunk, encoding, done) {
    if (!this.began) {
      this.began = true;
      // As the real one: nothing is said of status and headers before the first byte, and never without one.
      if (this.prelude) frame({ data: Buffer.concat([this.prelude, Buffer.alloc(8)]).toString("base64") });
    }
    frame({ data: chunk.toString("base64") });
    done();
  }

  _final(done) {
    frame({ end: true });
    done();
  }
}

function frame(fields) {
  _rawStdoutWrite(JSON.stringify({ status: "stream", ...fields }) + "\n");
}

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[STREAMS] = true;
    return handler;
  },
  HttpResponseStream: {
    from(stream, metadata) {
      stream.setContentType("application/vnd.awslambda.http-integration-response");
      stream.prelude = Buffer.from(JSON.stringify(metadata));
      return stream;
    },
  },
};

async function streamed(handler, event, context) {
  const stream = new ResponseStream();
  const over = new Promise((resolve, reject) => stream.on("finish", resolve).on("error", reject));
  over.catch(() => {}); // told by the await below
  await handler(event, stream, context);
  await over;
  return null;
}
