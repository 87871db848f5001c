// Java's datagrams: `java Echo.java serve-channel|serve-socket PORT`, or `ask-channel|ask-socket ADDRESS PORT COUNT`.
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
import java.util.*;

class Echo {
  public static void main(String[] a) throws Exception {
    switch (a[0]) {
      case "serve-channel" -> serveChannel(Integer.parseInt(a[1]));
      case "serve-socket" -> serveSocket(Integer.parseInt(a[1]));
      case "ask-channel" -> askChannel(new InetSocketAddress(a[1], Integer.parseInt(a[2])), Integer.parseInt(a[3]));
      default -> askSocket(new InetSocketAddress(a[1], Integer.parseInt(a[2])), Integer.parseInt(a[3]));
    }
  }

  // Never blocks but in its selector.
  static void serveChannel(int port) throws Exception {
    Selector selector = Selector.open();
    DatagramChannel channel = DatagramChannel.open().bind(new InetSocketAddress(port));
    channel.configureBlocking(false).register(selector, SelectionKey.OP_READ);
    ByteBuffer buffer = ByteBuffer.allocateDirect(65536);
    System.out.println("ready");
    while (selector.select() >= 0) {
      selector.selectedKeys().clear();
      for (SocketAddress peer; (peer = channel.receive(buffer.clear())) != null;) channel.send(buffer.flip(), peer);
    }
  }

  static void serveSocket(int port) throws Exception {
    try (DatagramSocket socket = new DatagramSocket(port)) {
      DatagramPacket packet = new DatagramPacket(new byte[65536], 65536);
      System.out.println("ready");
      for (;;) {
        packet.setLength(65536);
        socket.receive(packet);
        socket.send(packet);
      }
    }
  }

  static byte[] datagram(int i) {
    byte[] out = new byte[4 + i % 1000];
    Arrays.fill(out, (byte) i);
    ByteBuffer.wrap(out).putInt(i);
    return out;
  }

  static void askChannel(SocketAddress server, int count) throws Exception {
    DatagramChannel channel = DatagramChannel.open().connect(server);
    ByteBuffer buffer = ByteBuffer.allocate(2000);
    for (int i = 0; i < count; i++) {
      channel.write(ByteBuffer.wrap(datagram(i)));
      channel.read(buffer.clear());
      if (!buffer.flip().equals(ByteBuffer.wrap(datagram(i)))) throw new Exception("datagram " + i + " is wrong");
    }
    System.out.println(count + " came back");
  }

  static void askSocket(SocketAddress server, int count) throws Exception {
    try (DatagramSocket socket = new DatagramSocket()) {
      socket.setSoTimeout(20000);
      for (int i = 0; i < count; i++) {
        socket.send(new DatagramPacket(datagram(i), datagram(i).length, server));
        DatagramPacket answer = new DatagramPacket(new byte[2000], 2000);
        socket.receive(answer);
        if (!Arrays.equals(Arrays.copyOf(answer.getData(), answer.getLength()), datagram(i)) || !answer.getSocketAddress().equals(server))
          throw new Exception("datagram " + i + " is wrong");
      }
    }
    System.out.println(count + " came back");
  }
}
