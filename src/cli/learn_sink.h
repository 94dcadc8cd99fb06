// LearnSink: an audit sink that gathers what an observed run did, and passes every record on.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "audit/sink.h"
#include "policy/learned.h"

namespace vitrine::cli {

class LearnSink final : public audit::AuditSink {
 public:
  // `observations` is filled while the run goes on. `shown`: what the run is shown without being
  // watched, which is not to be learned. Both outlive this.
  LearnSink(std::unique_ptr<audit::AuditSink> next, policy::Observations& observations,
            const FileRules& shown)
      : next_(std::move(next)), observations_(observations), shown_(shown) {}

  // Every supervised call, whatever the log is to hold.
  audit::Level level() const override { return std::max(next_->level(), audit::Level::kMediated); }
  bool wants_lookups() const override { return true; }
  void start() override { next_->start(); }
  void flush() override { next_->flush(); }
  void write(const audit::StartRecord& record) override { next_->write(record); }
  void write(const audit::SyscallRecord& record) override;
  void write(const audit::ProcessRecord& record) override { next_->write(record); }
  void write(const audit::SignalRecord& record) override { next_->write(record); }
  void write(const audit::LimitRecord& record) override { next_->write(record); }
  void write(const audit::SampleRecord& record) override { next_->write(record); }
  Status finish(const Report& report) override { return next_->finish(report); }
  Status health() const override { return next_->health(); }

 private:
  void learn(const audit::SyscallRecord& record);
  void learn_lookup(const audit::SyscallRecord& record, std::span<const Sighting> lookup,
                    const std::string& named);
  void learn_scratch(const audit::SyscallRecord& record, const Sighting& end);
  bool is_learned(const Sighting& seen) const;
  void note_refusal(const audit::SyscallRecord& record);

  std::unique_ptr<audit::AuditSink> next_;
  policy::Observations& observations_;
  const FileRules& shown_;
  std::set<std::string> refused_;  // said already
};

}  // namespace vitrine::cli
