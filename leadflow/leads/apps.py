from django.apps import AppConfig
from django.db.models.signals import post_migrate


class LeadsConfig(AppConfig):
    name = "leadflow.leads"
    label = "leads"

    def ready(self) -> None:
        from leadflow.leads.catalogue import ensure_kinds
        from leadflow.leads.importing import run

        run.register()
        post_migrate.connect(ensure_kinds, sender=self, dispatch_uid="leads.kinds")
