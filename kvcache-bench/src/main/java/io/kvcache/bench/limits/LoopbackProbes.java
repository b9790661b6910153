package io.kvcache.bench.limits;

import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.List;

/** How fast one TCP connection within this machine delivers: the bound of every tier behind a socket. */
final class LoopbackProbes implements ProbeGroup {
  static final String LOOPBACK = "loopback";

  private static final int BUFFER_BYTES = 1 << 20;
  private static final int SOCKET_BUFFER_BYTES = 4 << 20;

  private final long bytes;
  private final SocketChannel receiver;
  private final SocketChannel sender;
  private final Thread sending;
  private final ByteBuffer received = ByteBuffer.allocateDirect(BUFFER_BYTES);

  /** Connects; each pass will move {@code bytes}. */
  LoopbackProbes(long bytes) throws IOException {
    this.bytes = bytes;
    try (ServerSocketChannel server = ServerSocketChannel.open()) {
      server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      receiver = SocketChannel.open();
      receiver.setOption(StandardSocketOptions.SO_RCVBUF, SOCKET_BUFFER_BYTES);
      receiver.connect(server.getLocalAddress());
      sender = server.accept();
      sender.setOption(StandardSocketOptions.SO_SNDBUF, SOCKET_BUFFER_BYTES);
    }
    sending = Thread.ofPlatform().daemon().name("limits-loopback").start(this::serve);
  }

  @Override
  public List<Probe> probes() {
    return List.of(new Probe() {
      @Override
      public String family() {
        return LOOPBACK;
      }

      @Override
      public long pass() throws IOException {
        return receive();
      }
    });
  }

  /** Asks with one byte and reads the answer. */
  private long receive() throws IOException {
    receiver.write(ByteBuffer.allocate(1));
    for (long left = bytes; left > 0;) {
      received.clear().limit((int) Math.min(left, BUFFER_BYTES));
      int count = receiver.read(received);
      if (count < 0) {
        throw new EOFException("the loopback connection closed with " + left + " bytes to come");
      }
      left -= count;
    }
    return bytes;
  }

  /** Answers every byte that arrives; ends with the connection. */
  private void serve() {
    ByteBuffer sent = ByteBuffer.allocateDirect(BUFFER_BYTES);
    ByteBuffer request = ByteBuffer.allocate(1);
    try {
      while (sender.read(request.clear()) > 0) {
        for (long left = bytes; left > 0;) {
          sent.clear().limit((int) Math.min(left, BUFFER_BYTES));
          left -= sender.write(sent);
        }
      }
    } catch (IOException e) {
      closeQuietly(sender); // the receiver sees the end of the stream and says so
    }
  }

  @Override
  public void close() throws IOException {
    receiver.close();
    closeQuietly(sender);
    try {
      sending.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void closeQuietly(SocketChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      // nothing is lost: all of the payload is noise
    }
  }
}
