package io.kvcache.bench.model;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.ForkJoinWorkerThread;
import java.util.concurrent.atomic.AtomicInteger;

/** A fixed number of threads, the caller being one of them, that share out numbered tasks. */
final class Workers implements AutoCloseable {
  /** One of the tasks; {@code runner}, below the number of threads, tells who runs it. */
  interface Task {
    void run(int index, int runner);
  }

  /** Beginning of the helper threads' names. */
  static final String THREAD_PREFIX = "kvcache-model-";

  private final int threads;
  private final ForkJoinPool helpers;

  /** Starts {@code threads - 1} daemon threads on demand. */
  Workers(int threads) {
    this.threads = threads;
    helpers = threads > 1 ? new ForkJoinPool(threads - 1, Workers::newThread, null, false) : null;
  }

  private static ForkJoinWorkerThread newThread(ForkJoinPool pool) {
    ForkJoinWorkerThread thread = ForkJoinPool.defaultForkJoinWorkerThreadFactory.newThread(pool);
    thread.setName(THREAD_PREFIX + thread.threadId());
    return thread;
  }

  int threads() {
    return threads;
  }

  /** Runs tasks 0 to {@code count - 1}, started in this order, and returns when all have ended. */
  void forEach(int count, Task task) {
    AtomicInteger next = new AtomicInteger();
    List<ForkJoinTask<?>> started = new ArrayList<>();
    for (int runner = 1; runner < Math.min(threads, count); runner++) {
      int self = runner;
      started.add(helpers.submit(() -> drain(next, count, task, self)));
    }
    try {
      drain(next, count, task, 0);
    } finally {
      started.forEach(ForkJoinTask::quietlyJoin); // nobody may still use the caller's buffers
    }
    started.forEach(ForkJoinTask::join); // throws what a helper threw
  }

  private static void drain(AtomicInteger next, int count, Task task, int runner) {
    for (int index = next.getAndIncrement(); index < count; index = next.getAndIncrement()) {
      task.run(index, runner);
    }
  }

  /** Ends the helper threads and waits for them. Idempotent. */
  @Override
  public void close() {
    if (helpers != null) {
      helpers.close();
    }
  }
}
