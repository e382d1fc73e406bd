from django.apps import AppConfig


class HandoffConfig(AppConfig):
    name = "handoff"

    def ready(self) -> None:
        from handoff import outbox, room
        from leadflow.accounts import telling

        room.register()
        telling.carry(outbox.carry)
