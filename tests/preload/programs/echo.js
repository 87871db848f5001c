// Node's dgram: `node echo.js serve PORT`, or `node echo.js ask ADDRESS PORT COUNT`.
const dgram = require("dgram");
const [role, ...rest] = process.argv.slice(2);
const socket = dgram.createSocket("udp4");
socket.on("error", (error) => { throw error; });

function serve(port) {
  socket.on("message", (data, peer) => socket.send(data, peer.port, peer.address));
  socket.bind(port, () => console.log("ready"));
}

// Several are on their way at any time.
function ask(address, port, count) {
  const open = new Map();
  let sent = 0;
  const next = () => {
    const data = Buffer.alloc(4 + (sent % 1000), sent % 256);
    data.writeUInt32BE(sent, 0);
    open.set(sent++, data);
    socket.send(data);
  };
  socket.on("message", (data) => {
    const number = data.readUInt32BE(0);
    if (!open.has(number) || !open.get(number).equals(data)) throw new Error(`datagram ${number} is wrong`);
    open.delete(number);
    if (sent < count) next();
    if (open.size === 0) socket.close(() => console.log(`${count} came back`));
  });
  socket.connect(port, address, () => { for (let i = 0; i < Math.min(8, count); i++) next(); });
}

if (role === "serve") serve(Number(rest[0]));
else ask(rest[0], Number(rest[1]), Number(rest[2]));
