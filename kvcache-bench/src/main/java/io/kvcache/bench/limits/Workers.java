package io.kvcache.bench.limits;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** Shares numbered work among platform threads; each takes the next number when it is done with one. */
final class Workers {
  private Workers() {}

  /** The work of one number. */
  interface Item {
    void run(int number) throws IOException;
  }

  /** Runs items 0 to {@code count - 1}; returns when all are done, throws the first failure. */
  static void run(int threads, int count, Item item) throws IOException {
    AtomicInteger next = new AtomicInteger();
    List<Future<?>> running = new ArrayList<>();
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      for (int i = 0; i < threads; i++) {
        running.add(pool.submit(() -> {
          for (int number = next.getAndIncrement(); number < count; number = next.getAndIncrement()) {
            item.run(number);
          }
          return null;
        }));
      }
      for (Future<?> worker : running) {
        worker.get();
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof IOException io ? io : new IOException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }
}
