//! Images per second of a training step: forward, backward, optimiser.

#![expect(missing_docs, reason = "the macro that gathers the benches writes none")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::num::NonZeroUsize;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_c10d::{AdamWOptions, FusedAdamW, allocator, clip_grad_norm, threads, zero_grad};
use vismae_model::{Key, Mode, SwinConfig, SwinMae, mask, normalise_images};

const OPTIONS: AdamWOptions = AdamWOptions { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.05 };

fn train_step(criterion: &mut Criterion) {
    allocator::keep_memory();
    let mut group = criterion.benchmark_group("train_step");
    group.sample_size(10);
    let cases = [
        ("tiny", SwinConfig::tiny(), 64, 1),
        ("tiny", SwinConfig::tiny(), 64, 2),
        ("base", SwinConfig::base(), 8, 2),
        ("base", SwinConfig::base(), 32, 2),
    ];
    for (name, config, batch, thread_count) in cases {
        threads::set(NonZeroUsize::new(thread_count).unwrap_or(NonZeroUsize::MIN));
        let store = VarStore::new(Device::Cpu);
        let Ok(network) = SwinMae::new(&store.root(), &config) else { continue };
        let mut optimiser = FusedAdamW::new(store.trainable_variables(), OPTIONS);
        let pixels = Tensor::randint(256, [batch, config.image_size, config.image_size], (Kind::Uint8, Device::Cpu));
        let mut step = 0;
        group.throughput(Throughput::Elements(batch.cast_unsigned()));
        let id = BenchmarkId::new(name, format!("batch {batch}, threads {thread_count}"));
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                step += 1;
                let keys: Vec<Key> = (0..batch.cast_unsigned()).map(|sample| Key::root(step).with(sample)).collect();
                let mask = mask::draw(&keys, &config, Device::Cpu);
                zero_grad(optimiser.parameters())?;
                network.forward(&normalise_images(&pixels), &mask, Mode::Train { keys: &keys }).loss().backward();
                clip_grad_norm(optimiser.parameters(), 1.0)?;
                optimiser.step(1e-4)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, train_step);
criterion_main!(benches);
