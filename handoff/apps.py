from django.apps import AppConfig


class HandoffConfig(AppConfig):
    name = "handoff"

    def ready(self) -> None:
        from handoff import outbox
        from leadflow.accounts import telling

        telling.carry(outbox.carry)
