from django.apps import AppConfig


class ScoringConfig(AppConfig):
    name = "scoring"

    def ready(self) -> None:
        from scoring import release
        from scoring.advising import looking
        from scoring.backtesting import runs

        release.register()
        runs.register()
        looking.register()
